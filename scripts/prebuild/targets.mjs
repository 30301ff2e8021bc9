// The platforms that prebuilt addons are made for, under the names that node-gyp-build looks for. Knows nothing of how
// they are made.

const target = (platform, arch, libc) => ({
  name: [platform, arch, libc].filter(Boolean).join('-'),
  platform,
  arch,
  libc,
  file: `prebuilds/${platform}-${arch}/iocp${libc ? `.${libc}` : ''}.node`,
});

/** What `npm run prebuilds` makes and the package contains. */
export const targets = [
  target('linux', 'x64', 'glibc'),
  target('linux', 'x64', 'musl'),
  target('linux', 'arm64', 'glibc'),
  target('linux', 'arm64', 'musl'),
  target('darwin', 'x64'),
  target('darwin', 'arm64'),
  target('win32', 'x64'),
  target('win32', 'arm64'),
];

/** Compiled by continuous integration to see that they do; nobody is sent them. */
export const compiledOnly = [target('freebsd', 'x64')];

/** The targets of those names, or all when there are none; ends the process for a name that is none. */
export function chosenTargets(names, among = targets) {
  if (names.length === 0) return among;
  return names.map((name) => {
    const found = among.find((each) => each.name === name);
    if (found === undefined) {
      console.error(`no target '${name}'; there are ${among.map((each) => each.name).join(', ')}`);
      process.exit(2);
    }
    return found;
  });
}
