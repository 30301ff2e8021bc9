// The public types of file transfer. Declarations only, no behaviour.

/**
 * `'extended'`: any size, several at once, resumed, checked, given up at any moment. `'classic'`: what peers of the
 * original C++ class speak, below 2 GiB. `'auto'` tries the one and then the other.
 */
export type FileProtocol = 'auto' | 'classic' | 'extended';

/** What happens when a received file's name is taken: `'rename'` finds another, as `name (2).txt`. */
export type OnFileExists = 'refuse' | 'overwrite' | 'rename';

/** The option `fileTransfer` of an `Iocp`. */
export interface FileTransferOptions {
  /** Where received files go. Without it every offer must be accepted with a path. */
  directory?: string;
  /** Which protocol `sendFile` uses, and which offers are taken. Default `'auto'`: both. */
  protocol?: FileProtocol;
  /** Accept what no listener answered. Needs `directory`. Default false. */
  autoAccept?: boolean;
  /** Largest file taken, in bytes. Default: no limit. */
  maxFileSize?: number;
  /** Most files received at a time, by the engine. Default 16. */
  maxConcurrentFiles?: number;
  /** Default `'refuse'`. */
  onExists?: OnFileExists;
  /** Keep what arrived of a failed transfer as `name.part`, and go on there next time. Default true. */
  resume?: boolean;
  /** Wait for the disk before a file gets its name. Default false. */
  durable?: boolean;
  /** Milliseconds an offer may stay unanswered. Default 10 000. */
  acceptTimeoutMs?: number;
}

/** Options of `sendFile`. */
export interface SendFileOptions {
  /** What the peer is told it is called. Default: the path's last component. */
  name?: string;
  /** Where to begin in the file, bytes. Default 0. */
  offset?: number;
  /** How many bytes to send. Default: all from `offset`. */
  length?: number;
  /** Default: the engine's. */
  protocol?: FileProtocol;
  /** How the extended protocol checks the file from end to end. Default `'crc32c'`. */
  check?: 'crc32c' | 'none';
  /** Aborting it gives the transfer up. A classic file that is on its way already costs the connection. */
  signal?: AbortSignal;
  /** As the event `fileProgress`. */
  onProgress?: (transfer: FileTransferInfo) => void;
}

/** Options of `prepareSendFile`. */
export interface PrepareSendFileOptions {
  /** What the peer is told it is called. Default: the path's last component. */
  name?: string;
  /** Wait for `startSendFile` even when the peer wants the file. Default false. */
  manualStart?: boolean;
}

/** Options of {@link FileOffer.accept}. */
export interface AcceptFileOptions {
  /** Where to write it. Default: the offered name in the option `directory`. */
  path?: string;
  /** Default: the engine's. */
  onExists?: OnFileExists;
  /**
   * Aborting it gives the transfer up. By the extended protocol the sender is told; by the classic one it cannot be, and
   * what still comes of the file is thrown away.
   */
  signal?: AbortSignal;
}

/** A file that a peer wants to send. */
export interface FileOffer {
  /** A single path component, safe to use on every system. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** When the sender's file was modified, if it says so. */
  readonly mtime: Date | undefined;
  readonly protocol: 'classic' | 'extended';
  /** Resolves when the file is in place. A rejection that nobody looks at is no `unhandledRejection`. */
  accept(pathOrOptions?: string | AcceptFileOptions): Promise<FileResult>;
  /** False when it was answered already. */
  refuse(reason?: string): boolean;
}

/** An end-to-end check and its value, in hexadecimal. */
export interface FileCheck {
  kind: 'crc32c';
  value: string;
}

/** A transfer under way. */
export interface FileTransferInfo {
  direction: 'send' | 'receive';
  protocol: 'classic' | 'extended';
  /** Empty until a received file's place is known. */
  path: string;
  name: string;
  /** Bytes in all. */
  size: number;
  /** Bytes so far, those of an earlier try included. */
  bytesTransferred: number;
}

/** A transfer that ended well. */
export interface FileResult {
  direction: 'send' | 'receive';
  protocol: 'classic' | 'extended';
  /** Where the file is, on this side. */
  path: string;
  name: string;
  /** Bytes in all. */
  size: number;
  /** Bytes that crossed the connection. */
  bytesTransferred: number;
  /** Bytes that were there already. */
  resumedAt: number;
  durationMs: number;
  /** Undefined when nothing was checked. */
  check: FileCheck | undefined;
}
