// Loads the addon, typed by binding.d.ts. Nothing else may load it, and nothing here interprets it.

import { join } from 'node:path';

import type * as Binding from '../binding.js';

/** The raw addon. Internal: its shape changes without notice. */
export type Addon = typeof Binding;
/** The raw engine. */
export type Engine = Binding.Engine;
/** A logical worker's end of the raw engine. */
export type EngineWorker = Binding.EngineWorker;
/** The owner's end of the raw job queue. */
export type JobQueue = Binding.JobQueue;
/** A worker's end of the raw job queue. */
export type JobWorker = Binding.JobWorker;
/** How a job's value travels. */
export type JobForm = Binding.JobForm;
/** The raw engine's options. */
export type NativeOptions = Binding.NativeOptions;
/** The raw framing description. */
export type NativeFraming = Binding.NativeFraming;

// eslint-disable-next-line @typescript-eslint/no-require-imports -- the loader has no type declarations
const load = require('node-gyp-build') as (packageRoot: string) => Addon;

/** The addon of this platform: the local build when there is one, the matching prebuild otherwise. */
export const addon: Addon = load(join(__dirname, '..'));
