// The file layer of one engine: which transfers there are, and whose each package and record is. What one transfer does
// is outgoing-file.ts and incoming-file.ts. No bytes of a file pass here: native code moves them.

import type { EventEmitter } from 'node:events';

import { addon, type Engine } from './binding.js';
import { type ClientContext, Phase } from './client-context.js';
import { closedError, errorFromStatus, goneError, IocpError } from './errors.js';
import type { FileRecord } from './event-reader.js';
import { fileError } from './file-errors.js';
import {
  type FileSettings,
  readPrepareOptions,
  readSendFileOptions,
  type SendFileSettings,
} from './file-options.js';
import type { FileResult, PrepareSendFileOptions, SendFileOptions } from './file-types.js';
import { IncomingFile } from './incoming-file.js';
import { OutgoingFile } from './outgoing-file.js';
import {
  abortFileTransfer,
  FileCode,
  fileRefuse,
  type Package,
  PackageType,
  read,
} from './packages.js';
import type { Sender } from './sender.js';
import type { DisconnectReason, IocpEvents } from './types.js';

const PROGRESS_INTERVAL_MS = 100;

/** What the events are emitted on. */
export type FileEmitter = EventEmitter<IocpEvents>;

/** How the layer speaks to the user. */
export interface Announcer {
  emitter: FileEmitter;
  /** Runs a step that calls user code, after those before it. */
  announce(step: () => void): void;
  /** Whether there are transfers may have changed. */
  changed(): void;
}

/** A transfer, whatever its direction. */
export interface Transfer {
  readonly context: ClientContext;
  /** Of native code. */
  readonly token: number;
  onRecord(record: FileRecord): void;
  /** Ends it: with an error, once. */
  fail(error: Error): void;
  /** The engine closes: what has not begun is given up. */
  onClosing(): void;
  progress(): void;
}

/** What the layer knows of one connection. */
export class Peer {
  readonly outgoing = new Map<number, OutgoingFile>();
  readonly incoming = new Map<number, IncomingFile>();
  /** Announced, or on its way, by the classic protocol. */
  classicOut: OutgoingFile | undefined;
  classicIn: IncomingFile | undefined;
  /** An announcement was taken back: the peer may have wanted it already. */
  withdrawn = false;
  /** The peer speaks the extended protocol; undefined = not known. */
  extended: boolean | undefined;
  /** Sends wait their turn: a classic one is alone on its way. */
  readonly queue: OutgoingFile[] = [];
  #id: number;

  constructor(readonly connectedHere: boolean) {
    this.#id = connectedHere ? 1 : 2;
  }

  nextId(): number {
    const id = this.#id;
    this.#id = id + 2 > 0xffff_ffff ? (this.connectedHere ? 1 : 2) : id + 2;
    return id;
  }

  /** Whether the peer may name a transfer so. */
  isTheirs(id: number): boolean {
    return id % 2 === (this.connectedHere ? 0 : 1) && !this.incoming.has(id);
  }
}

/** All transfers of one engine. */
export class FileTransfers {
  /** Files being received, for `maxConcurrentFiles`. */
  receiving = 0;
  readonly #peers = new Map<number, Peer>();
  readonly #transfers = new Map<number, Transfer>();
  #token = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Set while the engine closes: called when no transfer is left. */
  #onEnd: (() => void) | undefined;

  constructor(
    readonly engine: Engine,
    readonly sender: Sender,
    readonly settings: FileSettings,
    readonly announcer: Announcer,
  ) {}

  // --- for users, through their contexts -------------------------------------------------------------------

  async sendFile(
    context: ClientContext,
    path: string,
    options: SendFileOptions | undefined,
  ): Promise<FileResult> {
    return this.#start(context, path, readSendFileOptions(options)).result;
  }

  async prepareSendFile(
    context: ClientContext,
    path: string,
    options: PrepareSendFileOptions | undefined,
  ): Promise<void> {
    const settings = readPrepareOptions(options);
    const peer = this.#peers.get(context.slot);
    if (peer?.classicOut !== undefined) {
      throw new IocpError('ERR_IOCP_FILE_BUSY', 'another file is announced already', {
        context: context.id,
      });
    }
    await this.#start(context, path, { ...settings, protocol: 'classic' }).announced;
  }

  async startSendFile(context: ClientContext): Promise<FileResult> {
    const file = this.peer(context).classicOut;
    if (file === undefined) throw notPrepared(context);
    file.startManually();
    return file.result;
  }

  disableSendFile(context: ClientContext): boolean {
    return this.#peers.get(context.slot)?.classicOut?.withdraw() ?? false;
  }

  async prepareReceiveFile(context: ClientContext, path: string | undefined): Promise<FileResult> {
    const file = this.peer(context).classicIn;
    if (file === undefined) throw notPrepared(context);
    return file.accept(path);
  }

  disableReceiveFile(context: ClientContext): boolean {
    return this.#peers.get(context.slot)?.classicIn?.refuse() ?? false;
  }

  #start(context: ClientContext, path: string, settings: SendFileSettings): OutgoingFile {
    if (typeof path !== 'string' || path === '') {
      throw new TypeError('path must be a non-empty string');
    }
    if (context.phase !== Phase.open || this.closing) throw goneError(context.id);
    const file = new OutgoingFile(this, this.peer(context), context, path, settings);
    this.add(file);
    file.open();
    return file;
  }

  // --- for transfers -----------------------------------------------------------------------------------------

  /** What is known of a live context. */
  peer(context: ClientContext): Peer {
    const peer = this.#peers.get(context.slot);
    if (peer === undefined || context.phase >= Phase.aborted) throw goneError(context.id);
    return peer;
  }

  nextToken(): number {
    do this.#token = (this.#token % 0xffff_ffff) + 1;
    while (this.#transfers.has(this.#token));
    return this.#token;
  }

  add(transfer: Transfer): void {
    this.#transfers.set(transfer.token, transfer);
    this.#timer ??= setInterval(this.#tick, PROGRESS_INTERVAL_MS).unref();
    this.announcer.changed();
  }

  remove(transfer: Transfer, keep: boolean): void {
    if (!this.#transfers.delete(transfer.token)) return;
    this.engine.stopFile(transfer.token, keep);
    if (this.#transfers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.announcer.changed();
    this.#onEnd?.();
  }

  /** Nothing new begins. */
  get closing(): boolean {
    return this.#onEnd !== undefined || this.sender.closing;
  }

  /** Lets what is under way end, for so long at most; all else is given up. */
  async end(graceMs: number): Promise<void> {
    const ended = new Promise<void>((resolve) => (this.#onEnd = resolve));
    for (const transfer of [...this.#transfers.values()]) transfer.onClosing();
    if (this.#transfers.size === 0) return;
    const timer = setTimeout(() => this.#onEnd?.(), graceMs);
    await ended;
    clearTimeout(timer);
  }

  /** Whether there is something to wait for, with or without connections. */
  get busy(): boolean {
    return this.#transfers.size > 0;
  }

  /** A package of the layer's own: held back like any other while the peer would take it for a file. */
  control(context: ClientContext, payload: Buffer): void {
    if (context.phase === Phase.open) this.sender.send(context, payload, false, undefined);
  }

  /** One that must not wait. */
  urgent(context: ClientContext, payload: Buffer): void {
    if (context.phase === Phase.open) this.sender.sendControl(context, payload);
  }

  /** A package that belongs to no transfer, or makes no sense where it stands. */
  complain(context: ClientContext, reason: string): void {
    const error = fileError(FileCode.protocol, context.id, reason);
    const { emitter, announce } = this.announcer;
    announce(() => emitter.emit('fileFailed', context, error, undefined));
  }

  /** Starts what waits, as far as a classic transfer leaves room. */
  startQueued(peer: Peer): void {
    for (let file = peer.queue[0]; file !== undefined; file = peer.queue[0]) {
      file.decide();
      if (peer.classicOut !== undefined || (file.wantsClassic && peer.outgoing.size > 0)) return;
      peer.queue.shift();
      file.offer();
    }
  }

  // --- from the engine ---------------------------------------------------------------------------------------

  onConnected(context: ClientContext, connectedHere: boolean): void {
    this.#peers.set(context.slot, new Peer(connectedHere));
  }

  onDisconnected(context: ClientContext, reason: DisconnectReason): void {
    this.#peers.delete(context.slot);
    const error = goneError(context.id);
    error.message = `${error.message}: ${reason.message}`;
    for (const transfer of [...this.#transfers.values()]) {
      if (transfer.context !== context) continue;
      if (transfer instanceof IncomingFile) transfer.onGone(error);
      else transfer.fail(error);
    }
  }

  onFile(record: FileRecord): void {
    this.#transfers.get(record.token)?.onRecord(record);
  }

  /** The engine is about to go. */
  destroy(): void {
    for (const transfer of [...this.#transfers.values()]) {
      transfer.fail(closedError('file transfer'));
    }
    clearInterval(this.#timer);
  }

  /** True: the package was one of the layer's. */
  onPackage(context: ClientContext, payload: Buffer): boolean {
    const type = payload[0];
    if (type === undefined || type === PackageType.text || type > PackageType.fileCredit) {
      return false;
    }
    if (type > PackageType.abortFileTransfer && type < PackageType.fileOffer) return false;
    const peer = this.#peers.get(context.slot);
    if (peer === undefined) return true;
    this.#take(context, peer, read(payload));
    return true;
  }

  #take(context: ClientContext, peer: Peer, found: Package): void {
    switch (found.kind) {
      case 'fileInfo':
        return this.#onClassicOffer(context, peer, found);
      case 'startFileTransfer':
        return this.#onStart(context, peer);
      case 'abortFileTransfer':
        return this.#onClassicAbort(context, peer);
      case 'fileOffer':
        return this.#onOffer(context, peer, found);
      case 'fileAccept':
        return peer.outgoing.get(found.id)?.onAccept(found.offset);
      case 'fileRefuse':
        peer.outgoing.get(found.id)?.onRefuse(found.code, found.reason);
        return;
      case 'fileCredit':
        return peer.outgoing.get(found.id)?.onCredit(found.bytes);
      case 'fileAck':
        return peer.outgoing.get(found.id)?.onAck(found.code);
      case 'fileEnd':
        return peer.incoming.get(found.id)?.onEnd(found.check);
      case 'fileAbort':
        peer.outgoing.get(found.id)?.onAbort(found.code, found.reason);
        peer.incoming.get(found.id)?.onAbort(found.code, found.reason);
        return;
      case 'malformed':
        return this.complain(context, found.problem);
      case 'fileChunk':
      case 'text':
      case 'other':
        return; // chunks never come this far; the others are the application's
    }
  }

  #onClassicOffer(context: ClientContext, peer: Peer, found: { size: number; name: string }): void {
    // One whose bytes have all arrived is perhaps still on its way to the disk.
    if (peer.classicIn?.answered === false) {
      return this.complain(context, 'a second file was announced before the first was over');
    }
    if (this.settings.protocol === 'extended') return this.control(context, abortFileTransfer());
    const offered = { id: 0, size: BigInt(found.size), modifiedMs: 0n, check: 'none' as const };
    const file = new IncomingFile(this, peer, context, { ...offered, name: found.name });
    peer.classicIn = file;
    file.begin();
  }

  #onOffer(
    context: ClientContext,
    peer: Peer,
    found: Extract<Package, { kind: 'fileOffer' }>,
  ): void {
    if (this.settings.protocol === 'classic') return; // as a peer that does not know it
    peer.extended = true;
    if (!peer.isTheirs(found.id)) {
      return this.control(context, fileRefuse(found.id, FileCode.protocol, 'the id is taken'));
    }
    const file = new IncomingFile(this, peer, context, found);
    peer.incoming.set(found.id, file);
    file.begin();
  }

  #onStart(context: ClientContext, peer: Peer): void {
    if (peer.classicOut !== undefined) return peer.classicOut.onWanted();
    this.complain(context, 'the peer wants a file that was not announced');
    // It takes what comes for that file: nothing that is sent from now on would be understood.
    if (peer.withdrawn) this.sender.disconnect(context, false, 0);
  }

  #onClassicAbort(context: ClientContext, peer: Peer): void {
    if (peer.classicOut?.onRefuse(FileCode.refused, '') !== undefined) return;
    if (peer.classicOut !== undefined) return;
    if (peer.classicIn?.onAbort(FileCode.aborted, '') === true) return;
    // To a peer that knows no offers but the classic ones, ours looked like one.
    const waiting = [...peer.outgoing.values()].find((file) => file.waits);
    if (waiting !== undefined) return waiting.fallBack();
    this.complain(context, 'the peer gives up a file that was not announced');
  }

  readonly #tick = (): void => {
    for (const transfer of [...this.#transfers.values()]) transfer.progress();
  };
}

function notPrepared(context: ClientContext): IocpError {
  return new IocpError('ERR_IOCP_FILE_NOT_PREPARED', 'no file is announced', {
    context: context.id,
  });
}

/** The error that a record's status stands for. */
export function recordError(record: FileRecord, path: string): IocpError {
  return errorFromStatus(addon, record.status, { address: path });
}
