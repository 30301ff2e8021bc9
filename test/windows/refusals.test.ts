// What Windows' completion port does not have is refused by name, at once, and leaves nothing behind.

import { describe, expect, it } from 'vitest';

import { engine, IocpError, pair, server } from '../js/support.js';

const PATH = 'C:\\nowhere\\socket';

describe('on Windows', () => {
  it('listening on a Unix-domain socket is refused with ENOTSUP', async () => {
    const made = engine();
    const attempt = made.listen({ path: PATH });
    await expect(attempt).rejects.toBeInstanceOf(IocpError);
    await expect(attempt).rejects.toMatchObject({ code: 'ENOTSUP', syscall: 'listen' });
    await made.listen({ host: '127.0.0.1' });
  });

  it('connecting to a Unix-domain socket is refused with ENOTSUP', async () => {
    const client = engine();
    const attempt = client.connect({ path: PATH });
    await expect(attempt).rejects.toMatchObject({ code: 'ENOTSUP' });
    expect(client.connectionCount).toBe(0);
    const { port } = await server();
    await client.connect({ port });
  });

  it('reusePort is refused with ENOTSUP, and the port stays free for others', async () => {
    const made = engine();
    const { port } = await made.listen({ host: '127.0.0.1' });
    await made.close();
    const other = engine();
    const attempt = other.listen({ host: '127.0.0.1', port, reusePort: true });
    await expect(attempt).rejects.toMatchObject({ code: 'ENOTSUP', syscall: 'listen' });
    await other.listen({ host: '127.0.0.1', port });
  });

  it('TCP figures that the system does not tell are zero', async () => {
    const { outgoing } = await pair();
    const figures = Object.values(outgoing.info()!);
    expect(figures.length).toBeGreaterThan(0);
    expect(figures.every((figure) => Number.isFinite(figure) && figure >= 0)).toBe(true);
  });
});
