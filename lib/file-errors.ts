// The codes of file transfer: numbers on the wire, names in errors, and what lies between.

import { IocpError } from './errors.js';
import { FileCode } from './packages.js';

const NAMES: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [FileCode.refused]: ['ERR_IOCP_FILE_REFUSED', 'the peer does not want the file'],
  [FileCode.timedOut]: ['ERR_IOCP_FILE_TIMEOUT', 'nobody answered the offer in time'],
  [FileCode.badName]: ['ERR_IOCP_FILE_NAME', 'the file name cannot be used'],
  [FileCode.tooLarge]: ['ERR_IOCP_FILE_TOO_LARGE', 'the file is larger than the receiver takes'],
  [FileCode.tooMany]: ['ERR_IOCP_TOO_MANY_FILES', 'maxConcurrentFiles is reached'],
  [FileCode.exists]: ['EEXIST', 'a file of that name is there already'],
  [FileCode.noSpace]: ['ENOSPC', 'no space left on device'],
  [FileCode.ioError]: ['EIO', 'the file could not be read or written'],
  [FileCode.checkFailed]: ['ERR_IOCP_CHECK_FAILED', 'what arrived is not what was sent'],
  [FileCode.shrank]: ['ERR_IOCP_FILE_SHRANK', 'the file became shorter while it was being sent'],
  [FileCode.aborted]: ['ERR_IOCP_FILE_ABORTED', 'the transfer was given up'],
  [FileCode.protocol]: ['ERR_IOCP_PROTOCOL', 'the peer broke the rules of the file transfer'],
};

/** An error of a transfer that never met the wire's code, or did. */
export function fileError(code: number, context: number, reason = ''): IocpError {
  const [name, message] = NAMES[code] ?? ['ERR_IOCP_FILE_REFUSED', `code ${code}`];
  return new IocpError(name, reason === '' ? message : `${message}: ${reason}`, { context });
}

/** What the peer is told of an error. */
export function wireCode(error: Error): number {
  const { code } = error as { code?: unknown };
  const found = Object.entries(NAMES).find(([, [name]]) => name === code);
  if (found !== undefined) return Number(found[0]);
  if (code === 'EDQUOT') return FileCode.noSpace;
  return code === 'ABORT_ERR' || code === 'ERR_IOCP_CLOSED' ? FileCode.aborted : FileCode.ioError;
}

/** CRC-32C as `FileResult.check` shows it. */
export function hexadecimal(check: number): string {
  return check.toString(16).padStart(8, '0');
}
