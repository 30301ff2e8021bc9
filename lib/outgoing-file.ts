// One file on its way out: offered, accepted, streamed by native code, confirmed. By the extended protocol, or by the
// classic one, during whose offer everything else that is sent waits.

import { basename } from 'node:path';

import type { ClientContext } from './client-context.js';
import { abortError, closedError } from './errors.js';
import type { FileRecord } from './event-reader.js';
import { fileError, hexadecimal, wireCode } from './file-errors.js';
import type { SendFileSettings } from './file-options.js';
import { Outcome } from './file-promise.js';
import { type FileTransfers, type Peer, recordError, type Transfer } from './file-transfers.js';
import type { FileResult, FileTransferInfo } from './file-types.js';
import {
  abortFileTransfer,
  CLASSIC_FILE_BYTES_MAX,
  fileAbort,
  FileCode,
  fileEnd,
  fileInfo,
  fileOffer,
} from './packages.js';
import { FileEvent } from './records.js';

/** How long a peer that may not know the extended protocol has to say that it does. */
const CAPABILITY_MS = 2_000;

const Stage = { opening: 0, queued: 1, offered: 2, streaming: 3, ending: 4, over: 5 } as const;

/** See the head of this file. */
export class OutgoingFile implements Transfer {
  readonly token: number;
  /** Decided when it is offered. */
  wantsClassic: boolean;
  readonly #outcome = new Outcome<FileResult>();
  readonly #announced = new Outcome<void>();
  readonly #name: string;
  #stage: number = Stage.opening;
  #id = 0;
  #length = 0;
  #modifiedMs = 0;
  #resumedAt = 0;
  #check: number | undefined;
  #sent = false;
  #wanted = false;
  #begin = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #toldProgress = -1;

  constructor(
    readonly files: FileTransfers,
    readonly peer: Peer,
    readonly context: ClientContext,
    readonly path: string,
    readonly settings: SendFileSettings,
  ) {
    this.token = files.nextToken();
    this.#name = settings.name ?? basename(path);
    const protocol = settings.protocol ?? files.settings.protocol;
    this.wantsClassic = protocol === 'classic' || (protocol === 'auto' && peer.extended === false);
  }

  get result(): Promise<FileResult> {
    return this.#outcome.promise;
  }

  /** Resolves when the peer was told of it. */
  get announced(): Promise<void> {
    return this.#announced.promise;
  }

  /** Whether the extended offer has got no answer yet. */
  get waits(): boolean {
    return this.#stage === Stage.offered && !this.wantsClassic && this.#timer !== undefined;
  }

  /** By the classic protocol: announced, and not begun. */
  get announcing(): boolean {
    return this.#stage === Stage.offered && this.wantsClassic;
  }

  /** The peer takes every byte for the file's. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Settles the protocol by what is known of the peer now. */
  decide(): void {
    const protocol = this.settings.protocol ?? this.files.settings.protocol;
    if (protocol === 'auto' && this.peer.extended === false) this.wantsClassic = true;
  }

  open(): void {
    const { signal } = this.settings;
    if (signal?.aborted) return this.fail(abortError(signal));
    signal?.addEventListener('abort', this.#onAbortSignal, { once: true });
    const { slot, generation } = this.context;
    if (this.files.engine.openSource(this.token, slot, generation, this.path)) return;
    this.fail(fileError(FileCode.aborted, this.context.id, 'the connection has gone'));
  }

  onRecord(record: FileRecord): void {
    if (this.#stage === Stage.over) return;
    switch (record.event) {
      case FileEvent.opened:
        return this.#onOpened(record.value, record.extra);
      case FileEvent.sent:
        this.#sent = true;
        return this.#endIfReady();
      case FileEvent.checked:
        this.#check = record.value;
        return this.#endIfReady();
      case FileEvent.failed:
        return this.#giveUp(recordError(record, this.path));
      default:
        return;
    }
  }

  #onOpened(size: number, modifiedMs: number): void {
    const { offset, length } = this.settings;
    if (offset > size || (length !== undefined && offset + length > size)) {
      const end = length === undefined ? offset : offset + length;
      return this.fail(new RangeError(`${this.path} has ${size} bytes, not ${end}`));
    }
    this.#length = length ?? size - offset;
    this.#modifiedMs = modifiedMs;
    this.#stage = Stage.queued;
    this.peer.queue.push(this);
    this.files.startQueued(this.peer);
  }

  /** Tells the peer. */
  offer(): void {
    try {
      if (this.wantsClassic) this.#offerClassic();
      else this.#offerExtended();
    } catch (error) {
      return this.fail(error as Error);
    }
    this.#announced.resolve();
  }

  #offerExtended(): void {
    const { peer, files, context } = this;
    this.#stage = Stage.offered;
    this.#id = peer.nextId();
    peer.outgoing.set(this.#id, this);
    const size = BigInt(this.#length);
    const modifiedMs = BigInt(Math.max(0, this.#modifiedMs));
    const { check } = this.settings;
    files.control(context, fileOffer({ id: this.#id, size, modifiedMs, check, name: this.#name }));
    const protocol = this.settings.protocol ?? files.settings.protocol;
    const { acceptTimeoutMs } = files.settings;
    if (protocol === 'auto' && peer.extended === undefined) {
      this.#deadline(Math.min(CAPABILITY_MS, acceptTimeoutMs), () => this.fallBack());
    } else {
      // The peer answers in its own time, which may be as long as ours; this is for one that never does.
      this.#deadline(2 * acceptTimeoutMs, () => this.#timeOut());
    }
  }

  /** The peer does not know the extended protocol. */
  fallBack(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const protocol = this.settings.protocol ?? this.files.settings.protocol;
    if (protocol !== 'auto') return this.#timeOut();
    this.peer.extended ??= false;
    this.peer.outgoing.delete(this.#id);
    this.wantsClassic = true;
    this.#stage = Stage.queued;
    this.peer.queue.unshift(this);
    this.files.startQueued(this.peer);
  }

  #offerClassic(): void {
    // Throws for what the original's 32-bit number cannot tell, before anything goes out.
    if (this.#length > CLASSIC_FILE_BYTES_MAX) {
      const most = CLASSIC_FILE_BYTES_MAX;
      throw new RangeError(
        `${this.path} is ${this.#length} bytes: a classic transfer takes 0 … ${most}`,
      );
    }
    const announcement = fileInfo({ size: this.#length, name: this.#name });
    this.#stage = Stage.offered;
    this.peer.classicOut = this;
    this.peer.withdrawn = false;
    const { slot, generation } = this.context;
    this.files.engine.holdOthers(slot, generation, true);
    this.files.urgent(this.context, announcement);
    this.context.hold = { sends: [], bytes: 0, full: false };
    this.#deadline(2 * this.files.settings.acceptTimeoutMs, () => this.#timeOut());
  }

  #timeOut(): void {
    // The peer's own file comes first; its bytes are a sign of life.
    if (this.wantsClassic && this.peer.classicIn?.answered === true) {
      this.#deadline(2 * this.files.settings.acceptTimeoutMs, () => this.#timeOut());
      return;
    }
    this.#giveUp(fileError(FileCode.timedOut, this.context.id));
  }

  // --- the peer's answers ------------------------------------------------------------------------------------

  onAccept(offset: bigint): void {
    if (this.#stage !== Stage.offered) return;
    if (offset > BigInt(this.#length)) {
      return this.#giveUp(
        fileError(FileCode.protocol, this.context.id, 'it has more than there is'),
      );
    }
    this.peer.extended = true;
    this.#resumedAt = Number(offset);
    this.#stream(false);
    if (this.settings.check === 'crc32c') {
      this.files.engine.checkFile(this.token, this.settings.offset, this.#length);
    }
  }

  /** Undefined = it was not waiting for an answer. */
  onRefuse(code: number, reason: string): true | undefined {
    if (this.#stage !== Stage.offered) return undefined;
    if (!this.wantsClassic) this.peer.extended = true;
    this.fail(fileError(code, this.context.id, reason));
    return true;
  }

  onCredit(bytes: bigint): void {
    if (this.#stage === Stage.offered) {
      // The offer has arrived, and somebody thinks about it.
      this.peer.extended = true;
      this.#deadline(2 * this.files.settings.acceptTimeoutMs, () => this.#timeOut());
      return;
    }
    if (this.#stage !== Stage.streaming) return;
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    this.files.engine.giveCredit(this.token, bytes > most ? Infinity : Number(bytes));
  }

  onAck(code: number): void {
    if (this.#stage !== Stage.ending) return;
    if (code === FileCode.ok) this.#complete();
    else this.fail(fileError(code, this.context.id));
  }

  onAbort(code: number, reason: string): void {
    if (this.#stage < Stage.offered) return;
    this.fail(fileError(code, this.context.id, reason));
  }

  /** Type 2. */
  onWanted(): void {
    if (this.#stage !== Stage.offered || this.#wanted) {
      return this.files.complain(this.context, 'the peer wants the file twice');
    }
    this.#wanted = true;
    clearTimeout(this.#timer);
    if (!this.settings.manualStart) this.#stream(true);
  }

  startManually(): void {
    if (this.#stage === Stage.offered && this.#wanted) this.#stream(true);
    else this.settings.manualStart = false;
  }

  /** Takes a classic announcement back. */
  withdraw(): boolean {
    if (this.#stage !== Stage.offered || !this.wantsClassic) return false;
    this.#giveUp(fileError(FileCode.aborted, this.context.id));
    return true;
  }

  // --- streaming and the end -----------------------------------------------------------------------------------

  #stream(raw: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stage = Stage.streaming;
    const { files, context } = this;
    const begin = this.settings.offset + this.#resumedAt;
    const length = this.#length - this.#resumedAt;
    files.sender.flush();
    if (!files.engine.sendFile(this.token, raw, this.#id, begin, length, 0)) {
      return this.fail(fileError(FileCode.aborted, context.id, 'the connection has gone'));
    }
    // What waited stands behind the file.
    if (raw) this.#releaseHold(false);
  }

  #releaseHold(withdrawn: boolean): void {
    const { context, files, peer } = this;
    const drained = files.sender.releaseHold(context);
    files.sender.flush();
    files.engine.holdOthers(context.slot, context.generation, false);
    peer.classicIn?.onOutgoingOver(withdrawn);
    if (!drained) return;
    const { announce, emitter } = files.announcer;
    announce(() => emitter.emit('drain', context));
  }

  #endIfReady(): void {
    if (this.#stage !== Stage.streaming || !this.#sent) return;
    if (this.wantsClassic) return this.#complete();
    if (this.settings.check === 'crc32c' && this.#check === undefined) return;
    this.#stage = Stage.ending;
    this.files.control(this.context, fileEnd(this.#id, this.#check ?? 0));
  }

  #complete(): void {
    const value = this.#check;
    const result: FileResult = {
      direction: 'send',
      protocol: this.#protocol,
      path: this.path,
      name: this.#name,
      size: this.#length,
      bytesTransferred: this.#length - this.#resumedAt,
      resumedAt: this.#resumedAt,
      durationMs: performance.now() - this.#begin,
      check: value === undefined ? undefined : { kind: 'crc32c', value: hexadecimal(value) },
    };
    this.#leave();
    const { emitter, announce } = this.files.announcer;
    this.#outcome.resolve(result);
    announce(() => emitter.emit('fileCompleted', this.context, result));
  }

  onClosing(): void {
    const begun = this.#stage >= Stage.streaming || this.#wanted;
    if (!begun) this.#giveUp(closedError('sendFile'));
  }

  /** Ends it from this side: the peer is told. */
  #giveUp(error: Error): void {
    const { files, context } = this;
    if (this.#stage === Stage.over) return;
    const { peer } = this;
    if (this.#stage >= Stage.offered && !this.wantsClassic) {
      files.control(context, fileAbort(this.#id, wireCode(error), error.message));
    } else if (this.#stage === Stage.offered) {
      if (this.#wanted) {
        // The peer counts on bytes that will not come.
        files.sender.disconnect(context, false, 0);
      } else {
        peer.withdrawn = true;
        files.urgent(context, abortFileTransfer());
      }
    } else if (this.#stage === Stage.streaming) {
      files.sender.disconnect(context, false, 0);
    }
    this.fail(error);
  }

  fail(error: Error): void {
    if (this.#stage === Stage.over) return;
    const info = this.#info();
    this.#leave();
    const { emitter, announce } = this.files.announcer;
    this.#announced.reject(error);
    this.#outcome.reject(error);
    announce(() => emitter.emit('fileFailed', this.context, error, info));
  }

  #leave(): void {
    const { peer, files } = this;
    const held = peer.classicOut === this && this.#stage === Stage.offered;
    this.#stage = Stage.over;
    clearTimeout(this.#timer);
    this.settings.signal?.removeEventListener('abort', this.#onAbortSignal);
    peer.outgoing.delete(this.#id);
    if (peer.classicOut === this) peer.classicOut = undefined;
    const index = peer.queue.indexOf(this);
    if (index >= 0) peer.queue.splice(index, 1);
    files.remove(this, false);
    if (held) this.#releaseHold(peer.withdrawn);
    files.startQueued(peer);
  }

  readonly #onAbortSignal = (): void => {
    this.#giveUp(abortError(this.settings.signal as AbortSignal));
  };

  #deadline(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
  }

  progress(): void {
    if (this.#stage !== Stage.streaming && this.#stage !== Stage.ending) return;
    const info = this.#info();
    if (info.bytesTransferred === this.#toldProgress) return;
    this.#toldProgress = info.bytesTransferred;
    const { emitter, announce } = this.files.announcer;
    const { onProgress } = this.settings;
    announce(() => emitter.emit('fileProgress', this.context, info));
    if (onProgress !== undefined) announce(() => onProgress(info));
  }

  get #protocol(): 'classic' | 'extended' {
    return this.wantsClassic ? 'classic' : 'extended';
  }

  #info(): FileTransferInfo {
    const { path, token } = this;
    const moved = this.files.engine.fileMoved(token) + this.#resumedAt;
    return {
      direction: 'send',
      protocol: this.#protocol,
      path,
      name: this.#name,
      size: this.#length,
      bytesTransferred: moved,
    };
  }
}
