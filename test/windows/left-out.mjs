// What `npm run test:windows` leaves out: each test by its whole name, with the reason, which the run prints. A name
// that no test has is an error of the run, and so is a test that was skipped and is not named here.

const EARLY_FIN = 'Wine tells the FIN of a peer only when everything before it has been read';
const NO_LINKS = 'Wine 8 makes no symbolic links';
const NO_LOCAL = 'AcceptEx and ConnectEx do not take Unix-domain sockets, so this backend has none';
const LOST_CANCEL =
  'in one of six to ten runs the cancellation had no effect; by its look Wine forgets one that meets its own work on the transfer';

/** Native cases, by the program that holds them. */
export const nativeCases = {
  conformance_iocp: {
    'hang-up is told while bytes are unread, and they can still be read': EARLY_FIN,
    'transmit: a cancelled one completes once, and the socket lives on': LOST_CANCEL,
    'transmit: cancelled at any moment it ends exactly once': LOST_CANCEL,
    'files: a symbolic link is followed for reading': NO_LINKS,
    'files: a symbolic link is neither created through nor resumed through': NO_LINKS,
    'files: renaming over a symbolic link replaces the link, not what it points to': NO_LINKS,
  },
};

/** Native tests that are not built for Windows at all (cmake/tests.cmake). */
export const nativeFiles = {
  'test/native/posix': 'tests what only readiness systems promise',
  'test/native/sim_port/guards.cc': 'needs fork()',
};

const workers = [0, 1, 2, 4]; // WORKERS of test/js/support.ts
const withWorkers = (name, reason) =>
  Object.fromEntries(workers.map((count) => [name.replace('%i', String(count)), reason]));

/** JavaScript tests. What stands in for them is in test/windows, or is said here. */
export const javaScriptTests = {
  // Its two neighbours say what holds of such a close everywhere.
  ...withWorkers('with ioWorkers %i a close stays visible while paused', EARLY_FIN),
  'a context tells TCP figures of its connection': 'Wine 8 lacks SIO_TCP_INFO',
  'listen serves a Unix-domain socket, and removes its path on close': NO_LOCAL,
  "listen rejects { path: '/does/not/exist' } with ENOENT": NO_LOCAL,
  [`listen rejects { path: '/${'x'.repeat(200)}' } with ENAMETOOLONG`]: NO_LOCAL,
  'listen shares a port with reusePort': 'Windows has no SO_REUSEPORT that balances connections',
  ...Object.fromEntries(
    ['refuse', 'overwrite', 'rename'].map((way) => [
      `a peer that offers a file under the name of a symbolic link does not follow it (${way})`,
      NO_LINKS,
    ]),
  ),
  'a disk that is full is told to both sides, before a byte is sent, and the connection stays usable':
    'a small disk is made by mounting a tmpfs, which only Linux has',
};
