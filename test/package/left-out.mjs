// What `npm run test:package` leaves out of the JavaScript suite on runtimes that are not this machine's Node.js: each test
// by its whole name, with the reason, which the run prints. A name that no test has is an error of the run.

const REPORTS = 'Bun words the report of an uncaught error in its own way';
const CLONES = 'Bun words the refusal to clone in its own way';
const SHARED =
  "Bun's v8.serialize() copies a SharedArrayBuffer, where Node.js' refuses it and it is posted";
const DATA_URL = "Bun gives a string for this test's data: URL, and no module";

const each = (counts, name) => counts.map((count) => name.replace('%i', String(count)));
const workers = [0, 1, 2, 4]; // WORKERS of test/js/support.ts
const because = (reason, names) => Object.fromEntries(names.map((name) => [name, reason]));

export const bun = {
  ...because(REPORTS, [
    ...each(workers, 'with ioWorkers %i ends the process when nobody catches the exception'),
    ...each(
      [...workers, 'auto'],
      'a process with ioWorkers %i ends as it should: uncaught exception',
    ),
    ...each(
      [...workers, 'auto'],
      'a process with ioWorkers %i ends as it should: rejection outside',
    ),
  ]),
  ...because(CLONES, [
    'a job on a logical worker rejects with what it threw, properties included',
    'a job on a logical worker refuses data that cannot be copied, at once',
  ]),
  ...because(SHARED, [
    'a worker that dies although it was only to finish its job: its job rejects',
    'the number of workers makes jobs run at the same time',
  ]),
  ...because(DATA_URL, [
    'a worker that dies with nobody waiting: the engine says so',
    'a worker that dies does not when its module listens for exceptions: what it holds is processed',
  ]),
  'the package keeps its inner modules to itself': 'Bun refuses them in words of its own',
};

export const arm64 = {
  'a context tells TCP figures of its connection':
    "QEMU asks the kernel for four bytes of every TCP option, and TCP_INFO's figures come after those",
};
