// What the addon's file asks of the system that loads it. It may name no host program: Node-API is looked up when it is
// loaded, or Electron and other renamed hosts could not use it.
import { needTool, read } from '../run.mjs';

/** Libraries that every Windows has. */
const SYSTEM = ['kernel32', 'msvcrt', 'ntdll', 'ws2_32', 'mswsock', 'iphlpapi', 'advapi32'];
const isSystem = (library) =>
  SYSTEM.includes(library.replace(/\.dll$/i, '').toLowerCase()) || /^api-ms-win-/i.test(library);

/** Checks the imports; returns one passed or one failed. */
export function addonImports(addon) {
  const objdump = needTool('x86_64-w64-mingw32-objdump');
  const libraries = [...read(objdump, ['-p', addon]).matchAll(/DLL Name: (\S+)/g)].map(
    (it) => it[1],
  );
  const strangers = libraries.filter((library) => !isSystem(library));
  const good = libraries.length > 0 && strangers.length === 0;
  const what = good ? `imports of ${libraries.join(', ')} only` : `imports ${strangers.join(', ')}`;
  console.log(`${good ? 'ok  ' : 'FAIL'} the addon ${what}`);
  return { passed: good ? 1 : 0, failed: good ? 0 : 1 };
}
