// What a `disconnected` record says, in words. Knows no contexts.

import { addon } from './binding.js';
import { statusCode, statusMessage, syscallName } from './errors.js';
import type { DisconnectedRecord } from './event-reader.js';
import type { DisconnectedBy, DisconnectReason } from './types.js';

const DISCONNECTED_BY: readonly DisconnectedBy[] = ['local', 'peer', 'guard', 'error'];

/** The reason that users get. */
export function disconnectReason(record: DisconnectedRecord): DisconnectReason {
  const syscall = syscallName(addon, record.syscall);
  return {
    code: statusCode(addon, record.status),
    ...(syscall === undefined ? {} : { syscall }),
    by: DISCONNECTED_BY[record.by] ?? 'error',
    message: record.message || statusMessage(addon, record.status),
  };
}
