// One file on its way in: offered by the peer, answered by a listener, written by native code into a partial file,
// checked, and given its name. What the peer says is only ever a suggestion.

import { basename, dirname, join } from 'node:path';

import type { ClientContext } from './client-context.js';
import { abortError } from './errors.js';
import type { FileRecord } from './event-reader.js';
import { fileError, hexadecimal, wireCode } from './file-errors.js';
import { safeFileName } from './file-names.js';
import { readAcceptOptions } from './file-options.js';
import { ignorable, Outcome } from './file-promise.js';
import { type FileTransfers, type Peer, recordError, type Transfer } from './file-transfers.js';
import type { AcceptFileOptions, FileOffer, FileResult, FileTransferInfo } from './file-types.js';
import {
  abortFileTransfer,
  fileAbort,
  fileAccept,
  fileAck,
  FileCode,
  fileCredit,
  type FileOffer as WireOffer,
  fileRefuse,
  startFileTransfer,
} from './packages.js';
import { FileEvent, OnExists } from './records.js';

/** Bytes that may be on their way to the disk. */
const WINDOW_BYTES = 4 * 1024 * 1024;

const Stage = { offered: 0, opening: 1, receiving: 2, finishing: 3, over: 4 } as const;

/** See the head of this file. */
export class IncomingFile implements Transfer, FileOffer {
  readonly token: number;
  readonly protocol: 'classic' | 'extended';
  readonly size: number;
  readonly mtime: Date | undefined;
  name: string;
  readonly #outcome = new Outcome<FileResult>();
  readonly #id: number;
  readonly #checked: boolean;
  #problem: string | undefined;
  #stage: number = Stage.offered;
  #directory = '';
  /** Classic: the place it is written to is ready, and the peer waits. */
  #isOpen = false;
  #resumedAt = 0;
  #onDisk = 0;
  #gone: Error | undefined;
  #begin = 0;
  #timer: NodeJS.Timeout | undefined;
  #signal: AbortSignal | undefined;
  #toldProgress = -1;

  constructor(
    readonly files: FileTransfers,
    readonly peer: Peer,
    readonly context: ClientContext,
    offer: WireOffer,
  ) {
    this.token = files.nextToken();
    this.protocol = offer.id === 0 ? 'classic' : 'extended';
    this.#id = offer.id;
    this.#checked = offer.check === 'crc32c';
    this.size = Number(offer.size);
    this.mtime = offer.modifiedMs === 0n ? undefined : new Date(Number(offer.modifiedMs));
    const safe = safeFileName(offer.name);
    this.name = 'name' in safe ? safe.name : '';
    this.#problem = 'name' in safe ? undefined : safe.problem;
  }

  /** Asks the user, or refuses what need not be asked. */
  begin(): void {
    const { files, context } = this;
    const { settings } = files;
    files.add(this);
    if (++files.receiving > settings.maxConcurrentFiles) return this.#reject(FileCode.tooMany);
    if (this.#problem !== undefined) return this.#reject(FileCode.badName, this.#problem);
    if (this.size > settings.maxFileSize || !Number.isSafeInteger(this.size)) {
      return this.#reject(FileCode.tooLarge);
    }
    if (files.closing) return this.#reject(FileCode.refused, 'the receiver closes');
    const { emitter, announce } = files.announcer;
    if (emitter.listenerCount('fileOffer') === 0) {
      if (settings.autoAccept) void this.accept();
      else this.#reject(FileCode.refused);
      return;
    }
    // "It has arrived": so that the peer need not wonder whether it is understood.
    if (this.protocol === 'extended') files.control(context, fileCredit(this.#id, 0n));
    this.#timer = setTimeout(() => this.#reject(FileCode.timedOut), settings.acceptTimeoutMs);
    announce(() => emitter.emit('fileOffer', context, this));
    if (settings.autoAccept) {
      announce(() => {
        if (this.#stage === Stage.offered) void this.accept();
      });
    }
  }

  /** Whether the peer was told what becomes of it. */
  get answered(): boolean {
    return this.#stage > Stage.opening;
  }

  // --- the user's answer -----------------------------------------------------------------------------------------

  accept(pathOrOptions?: string | AcceptFileOptions): Promise<FileResult> {
    const { files } = this;
    if (this.#stage !== Stage.offered) {
      return this.#stage === Stage.over && this.#begin === 0
        ? this.#outcome.promise
        : ignorable(
            Promise.reject(fileError(FileCode.aborted, this.context.id, 'it was answered already')),
          );
    }
    let given;
    try {
      given = readAcceptOptions(pathOrOptions, files.settings);
      if (given.path === undefined && files.settings.directory === undefined) {
        throw new TypeError('accept needs a path, or the option fileTransfer.directory');
      }
    } catch (error) {
      return ignorable(Promise.reject(error as Error));
    }
    this.#directory =
      given.path === undefined ? (files.settings.directory as string) : dirname(given.path);
    if (given.path !== undefined) this.name = basename(given.path);
    const { signal } = given;
    if (signal?.aborted) {
      this.#giveUp(abortError(signal), FileCode.aborted);
      return this.#outcome.promise;
    }
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbortSignal, { once: true });
    clearTimeout(this.#timer);
    this.#stage = Stage.opening;
    this.#begin = performance.now();
    const { resume, durable } = files.settings;
    const { slot, generation } = this.context;
    const opened = files.engine.openTarget(
      this.token,
      slot,
      generation,
      this.#directory,
      this.name,
      this.size,
      OnExists[given.onExists],
      resume && this.#checked,
      this.#checked,
      durable,
    );
    if (!opened) this.fail(fileError(FileCode.aborted, this.context.id, 'the connection has gone'));
    return this.#outcome.promise;
  }

  refuse(reason = ''): boolean {
    if (this.#stage !== Stage.offered) return false;
    this.#reject(FileCode.refused, String(reason));
    return true;
  }

  #reject(code: number, reason = ''): void {
    if (this.#stage !== Stage.offered) return;
    this.#giveUp(fileError(code, this.context.id, reason), code, reason);
  }

  // --- what happens -------------------------------------------------------------------------------------------------

  onRecord(record: FileRecord): void {
    if (this.#stage === Stage.over) return;
    switch (record.event) {
      case FileEvent.opened:
        return this.#onOpened(record.value);
      case FileEvent.written:
        return this.#onWritten(record.value);
      case FileEvent.finished:
        this.name = record.text;
        return this.#complete(record.value);
      case FileEvent.failed: {
        const error = this.#gone ?? recordError(record, join(this.#directory, this.name));
        return this.#giveUp(error, wireCode(error));
      }
      default:
        return;
    }
  }

  #onOpened(there: number): void {
    this.#resumedAt = this.#onDisk = there;
    if (this.protocol === 'extended') {
      if (!this.#receive()) return;
      const { files, context } = this;
      files.control(context, fileAccept(this.#id, BigInt(there)));
      files.control(context, fileCredit(this.#id, BigInt(WINDOW_BYTES)));
      return;
    }
    this.#isOpen = true;
    if (!this.#mustWait) this.#start();
  }

  /** Native code takes what comes for the file from now on. False = it failed. */
  #receive(): boolean {
    const { files, context } = this;
    const raw = this.protocol === 'classic';
    this.#stage = Stage.receiving;
    const left = this.size - this.#resumedAt;
    if (files.engine.receiveFile(this.token, raw, this.#id, left, WINDOW_BYTES)) return true;
    const error = fileError(FileCode.protocol, context.id, 'bytes came before they were wanted');
    this.#giveUp(error, FileCode.protocol);
    return false;
  }

  /**
   * Two classic announcements crossed. The peer takes our answer for its file's bytes once it has asked for ours, and
   * we would take its answer for bytes once we have asked: the side that was connected to waits until its own file is
   * over, and the other one answers at once, unless it was asked for its file already.
   */
  get #mustWait(): boolean {
    const ours = this.peer.classicOut;
    return ours !== undefined && ours.announcing && (!this.peer.connectedHere || ours.wanted);
  }

  /** The peer is told to begin; every byte that comes after its answer is the file's. */
  #start(): void {
    if (!this.#receive()) return;
    this.files.urgent(this.context, startFileTransfer());
    if (this.size === 0) this.#finish(false, 0);
  }

  /** Our own announcement is over; `withdrawn`: its answer may be on its way, and must not be taken for bytes. */
  onOutgoingOver(withdrawn: boolean): void {
    if (this.#stage > Stage.opening) return;
    if (withdrawn) {
      const { id } = this.context;
      this.#giveUp(fileError(FileCode.aborted, id, 'our own was taken back'), FileCode.aborted);
    } else if (this.#isOpen) {
      this.#start();
    }
  }

  #onWritten(onDisk: number): void {
    const bytes = onDisk - this.#onDisk;
    this.#onDisk = onDisk;
    if (this.#stage !== Stage.receiving) return;
    if (this.protocol === 'classic') {
      if (onDisk === this.size) this.#finish(false, 0);
      return;
    }
    this.files.engine.giveCredit(this.token, bytes);
    this.files.control(this.context, fileCredit(this.#id, BigInt(bytes)));
  }

  onEnd(check: number): void {
    if (this.#stage === Stage.receiving) this.#finish(this.#checked, check);
    else if (this.#stage <= Stage.opening) {
      const error = fileError(FileCode.protocol, this.context.id, 'it ended before it was wanted');
      this.#giveUp(error, FileCode.protocol);
    }
  }

  #finish(compare: boolean, check: number): void {
    this.#stage = Stage.finishing;
    this.files.engine.finishFile(this.token, compare, check);
  }

  /** The peer gave up. True = it concerned this one. */
  onAbort(code: number, reason: string): boolean {
    const isLate = this.protocol === 'classic' && this.#stage > Stage.opening;
    if (this.#stage === Stage.over || isLate) return false;
    this.fail(fileError(code, this.context.id, reason));
    return true;
  }

  /** The connection has gone; whether everything had arrived before is known to the disk queue alone. */
  onGone(error: Error): void {
    this.#gone = error;
    const whole = this.#stage === Stage.receiving && this.protocol === 'classic';
    if (whole) this.#finish(false, 0);
    else if (this.#stage !== Stage.finishing) this.fail(error);
  }

  #complete(value: number): void {
    const { context, files } = this;
    const result: FileResult = {
      direction: 'receive',
      protocol: this.protocol,
      path: join(this.#directory, this.name),
      name: this.name,
      size: this.size,
      bytesTransferred: this.size - this.#resumedAt,
      resumedAt: this.#resumedAt,
      durationMs: performance.now() - this.#begin,
      check: this.#checked ? { kind: 'crc32c', value: hexadecimal(value) } : undefined,
    };
    if (this.protocol === 'extended') files.control(context, fileAck(this.#id, FileCode.ok));
    this.#leave(false);
    const { emitter, announce } = files.announcer;
    this.#outcome.resolve(result);
    announce(() => emitter.emit('fileCompleted', context, result));
  }

  onClosing(): void {
    this.#reject(FileCode.refused, 'the receiver closes');
  }

  /** Ends it from this side: the peer is told. */
  #giveUp(error: Error, code: number, reason = error.message): void {
    const { files, context } = this;
    if (this.protocol === 'extended') {
      const answer =
        this.#stage <= Stage.opening
          ? fileRefuse(this.#id, code, reason)
          : this.#stage === Stage.finishing
            ? fileAck(this.#id, code)
            : fileAbort(this.#id, code, reason);
      files.control(context, answer);
    } else if (this.#stage <= Stage.opening) {
      if (this.#mustWait) files.control(context, abortFileTransfer());
      else files.urgent(context, abortFileTransfer());
    }
    this.fail(error);
  }

  fail(error: Error): void {
    if (this.#stage === Stage.over) return;
    const info = this.#info();
    this.#leave(this.files.settings.resume && this.#checked);
    const { emitter, announce } = this.files.announcer;
    this.#outcome.reject(error);
    announce(() => emitter.emit('fileFailed', this.context, error, info));
  }

  #leave(keep: boolean): void {
    const { peer, files } = this;
    this.#stage = Stage.over;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbortSignal);
    files.receiving--;
    if (this.#id !== 0) peer.incoming.delete(this.#id);
    else if (peer.classicIn === this) peer.classicIn = undefined;
    files.remove(this, keep);
  }

  readonly #onAbortSignal = (): void => {
    // From the last byte on it is the disk's to say.
    if (this.#stage === Stage.finishing) return;
    this.#giveUp(abortError(this.#signal as AbortSignal), FileCode.aborted);
  };

  progress(): void {
    if (this.#stage !== Stage.receiving) return;
    const info = this.#info();
    if (info.bytesTransferred === this.#toldProgress) return;
    this.#toldProgress = info.bytesTransferred;
    const { emitter, announce } = this.files.announcer;
    announce(() => emitter.emit('fileProgress', this.context, info));
  }

  #info(): FileTransferInfo {
    return {
      direction: 'receive',
      protocol: this.protocol,
      path: this.#directory === '' ? '' : join(this.#directory, this.name),
      name: this.name,
      size: this.size,
      bytesTransferred: this.files.engine.fileMoved(this.token),
    };
  }
}
