// A chat for nc, socat or telnet: packages are lines. Each line goes to everybody else, and "you: …" back to its
// author; "quit" says goodbye. Start it, then `nc 127.0.0.1 <port>` in two terminals.
//   node examples/lines.mjs [port]
import { Iocp } from 'iocp';

const server = new Iocp({
  framing: { type: 'delimiter', delimiter: '\n', maxLength: 4096 },
});

server.on('connection', (client) => client.send(`welcome, you are number ${client.id}`));
server.on('package', (client, line) => {
  const text = line.toString().trimEnd(); // telnet ends its lines with CR LF
  if (text === 'quit') {
    client.send('goodbye');
    client.disconnect({ graceful: true });
    return;
  }
  client.send(`you: ${text}`);
  server.sendToAll(`${client.id}: ${text}`, { except: client });
});
server.on('disconnect', (client, reason) => console.log(`${client.id} left: ${reason.message}`));

const { address, port } = await server.listen({
  port: Number(process.argv[2] ?? 0),
  host: '127.0.0.1',
});
console.log(`listening on ${address}:${port}`);

const stop = () => server.close();
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
