// Validates the options of file transfer, as options.ts does the others.

import { resolve } from 'node:path';

import type { NativeFraming } from './binding.js';
import {
  abortSignal,
  bag,
  choice,
  flag,
  integer,
  MILLISECONDS_MAX,
  words,
  wrongType,
} from './checks.js';
import type {
  AcceptFileOptions,
  FileProtocol,
  FileTransferInfo,
  FileTransferOptions,
  OnFileExists,
  PrepareSendFileOptions,
  SendFileOptions,
} from './file-types.js';

const PROTOCOLS = ['auto', 'classic', 'extended'] as const;
const ON_EXISTS = ['refuse', 'overwrite', 'rename'] as const;

/** The option `fileTransfer`, validated. */
export interface FileSettings {
  /** Absolute; undefined = every offer is accepted with a path. */
  directory: string | undefined;
  protocol: FileProtocol;
  autoAccept: boolean;
  maxFileSize: number;
  maxConcurrentFiles: number;
  onExists: OnFileExists;
  resume: boolean;
  durable: boolean;
  acceptTimeoutMs: number;
}

/** Options of `sendFile`, validated. */
export interface SendFileSettings {
  name: string | undefined;
  offset: number;
  length: number | undefined;
  protocol: FileProtocol | undefined;
  check: 'crc32c' | 'none';
  signal: AbortSignal | undefined;
  onProgress: ((transfer: FileTransferInfo) => void) | undefined;
  manualStart: boolean;
}

/** Undefined = off. */
export function fileSettingsOf(
  value: boolean | FileTransferOptions | undefined,
  framing: NativeFraming,
): FileSettings | undefined {
  if (value === undefined || value === false) return undefined;
  if (typeof value !== 'object' && value !== true) {
    wrongType('fileTransfer', value, 'true, false or an object');
  }
  if (framing.type !== 'length' || framing.strip !== -1) {
    throw new TypeError(
      "fileTransfer needs framing 'iocps' or a length framing that strips its whole header",
    );
  }
  if (framing.maxLength < 64) {
    throw new RangeError('fileTransfer needs framing.maxLength to be 64 bytes or more');
  }
  const given = bag('fileTransfer', value === true ? undefined : value, [
    'directory',
    'protocol',
    'autoAccept',
    'maxFileSize',
    'maxConcurrentFiles',
    'onExists',
    'resume',
    'durable',
    'acceptTimeoutMs',
  ]);
  const directory = words('fileTransfer.directory', given.directory, '');
  const autoAccept = flag('fileTransfer.autoAccept', given.autoAccept, false);
  if (autoAccept && directory === '') {
    throw new TypeError('fileTransfer.autoAccept needs fileTransfer.directory');
  }
  const most = Number.MAX_SAFE_INTEGER;
  return {
    directory: directory === '' ? undefined : resolve(directory),
    protocol: choice('fileTransfer.protocol', given.protocol, 'auto', PROTOCOLS),
    autoAccept,
    maxFileSize: integer('fileTransfer.maxFileSize', given.maxFileSize, most, 0, most),
    maxConcurrentFiles: integer(
      'fileTransfer.maxConcurrentFiles',
      given.maxConcurrentFiles,
      16,
      1,
      65_536,
    ),
    onExists: choice('fileTransfer.onExists', given.onExists, 'refuse', ON_EXISTS),
    resume: flag('fileTransfer.resume', given.resume, true),
    durable: flag('fileTransfer.durable', given.durable, false),
    acceptTimeoutMs: integer(
      'fileTransfer.acceptTimeoutMs',
      given.acceptTimeoutMs,
      10_000,
      1,
      MILLISECONDS_MAX,
    ),
  };
}

/** Validates the options of `sendFile`. */
export function readSendFileOptions(options: SendFileOptions | undefined): SendFileSettings {
  const names = ['name', 'offset', 'length', 'protocol', 'check', 'signal', 'onProgress'];
  const given = bag('sendFile', options, names) as SendFileOptions;
  const most = Number.MAX_SAFE_INTEGER;
  if (given.onProgress !== undefined && typeof given.onProgress !== 'function') {
    wrongType('sendFile.onProgress', given.onProgress, 'a function');
  }
  return {
    name: given.name === undefined ? undefined : words('sendFile.name', given.name, ''),
    offset: integer('sendFile.offset', given.offset, 0, 0, most),
    length:
      given.length === undefined ? undefined : integer('sendFile.length', given.length, 0, 0, most),
    protocol:
      given.protocol === undefined
        ? undefined
        : choice('sendFile.protocol', given.protocol, 'auto', PROTOCOLS),
    check: choice('sendFile.check', given.check, 'crc32c', ['crc32c', 'none']),
    signal: abortSignal('sendFile.signal', given.signal),
    onProgress: given.onProgress,
    manualStart: false,
  };
}

/** Validates the options of `prepareSendFile`. */
export function readPrepareOptions(options: PrepareSendFileOptions | undefined): SendFileSettings {
  const given = bag('prepareSendFile', options, ['name', 'manualStart']);
  return {
    ...readSendFileOptions({ protocol: 'classic', check: 'none' }),
    name: given.name === undefined ? undefined : words('prepareSendFile.name', given.name, ''),
    manualStart: flag('prepareSendFile.manualStart', given.manualStart, false),
  };
}

/** Validates what `accept` takes. */
export function readAcceptOptions(
  value: string | AcceptFileOptions | undefined,
  settings: FileSettings,
): { path: string | undefined; onExists: OnFileExists; signal: AbortSignal | undefined } {
  const options = typeof value === 'string' ? { path: value } : value;
  const given = bag('accept', options, ['path', 'onExists', 'signal']);
  return {
    path: given.path === undefined ? undefined : resolve(words('accept.path', given.path, '')),
    onExists: choice('accept.onExists', given.onExists, settings.onExists, ON_EXISTS),
    signal: abortSignal('accept.signal', given.signal),
  };
}
