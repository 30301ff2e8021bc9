// What becomes of a file name that a peer suggests. The one place that decides it: a name that leaves here is a single
// path component that every system this package runs on takes as an ordinary file, and nothing else. Pure functions.

/** A name to use, or why there is none. */
export type SafeName = { name: string } | { problem: string };

/** What file systems take; a byte is a byte of UTF-8. */
const NAME_BYTES_MAX = 255;
/** Partly received files are kept under this ending, so nobody may choose a name that has it. */
export const PARTIAL_ENDING = '.part';

// Windows opens a device for these, in any folder, whatever the case and whatever stands behind a dot.
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])$/i;
// Control characters, and the marks that make text run backwards: "exe.gpj" would show as "jpg.exe".
const INVISIBLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/u;
const ILLEGAL_ON_WINDOWS = /[<>:"|?*]/;

/**
 * Reduces what a peer calls a file to a name of one component, or says why that is not possible: folders, drive
 * letters and shares are cut off; control characters, device names of Windows, and names that some system would
 * change or misread are refused. The rules are the same on every system, because a folder may be shared between them.
 *
 * @param suggested The name as it came over the wire.
 */
export function safeFileName(suggested: string): SafeName {
  // Both separators on every system: what is a plain character here may be a folder where the file goes next.
  const last = suggested.split(/[/\\]/).at(-1) as string;
  const name = last.replace(/^[A-Za-z]:/, '');
  const problem = problemOf(name);
  if (problem === undefined) return { name };
  return { problem: `the file name ${printable(suggested)} ${problem}` };
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'names no file';
  if (name === '.' || name === '..') return 'names a folder';
  if (/\p{Cs}/u.test(name)) return 'is not Unicode';
  if (INVISIBLE.test(name)) return 'holds a control character';
  const illegal = ILLEGAL_ON_WINDOWS.exec(name);
  if (illegal !== null) return `holds ${illegal[0]}, which Windows does not take`;
  if (/[. ]$/.test(name)) return 'ends with a dot or a space, which Windows drops';
  if (name.startsWith(' ')) return 'begins with a space';
  const stem = (name.split('.')[0] as string).trimEnd();
  if (DEVICE.test(stem)) return `names the device ${stem.toUpperCase()} on Windows`;
  if (name.toLowerCase().endsWith(PARTIAL_ENDING)) {
    return `ends with ${PARTIAL_ENDING}, which marks partly received files`;
  }
  const bytes = Buffer.byteLength(name) + PARTIAL_ENDING.length;
  if (bytes > NAME_BYTES_MAX) {
    return `takes ${bytes - PARTIAL_ENDING.length} bytes, of ${NAME_BYTES_MAX - PARTIAL_ENDING.length} at most`;
  }
  return undefined;
}

/** For an error message: quoted, without anything that would garble a terminal, not endless. */
function printable(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
