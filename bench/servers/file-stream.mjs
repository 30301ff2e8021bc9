// What bench/files.mjs compares with: sends the file named on the command line to whoever connects, by a read stream
// that is piped into the socket; the second argument is the stream's highWaterMark, its default without one.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:net';

const [, , file, highWaterMark] = process.argv;
const options = highWaterMark === undefined ? {} : { highWaterMark: Number(highWaterMark) };
const server = createServer((socket) => createReadStream(file, options).pipe(socket));
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
