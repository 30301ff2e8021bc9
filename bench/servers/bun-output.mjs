// What Bun's sockets leave to their user: `write` takes what the kernel takes and returns how much that was. This keeps
// the rest, in order, and tells whether the caller should stop reading.
const mostWaiting = 1 << 20;

export class Output {
  #socket;
  #waiting = []; // chunks not yet taken by the kernel
  #bytes = 0;

  constructor(socket) {
    this.#socket = socket;
  }

  /** Sends or keeps `chunk`; false when so much waits that the caller should pause. */
  write(chunk) {
    const sent = this.#bytes > 0 ? 0 : Math.max(0, this.#socket.write(chunk));
    if (sent < chunk.length) {
      // A view of what arrived is only lent until the callback returns.
      this.#waiting.push(Buffer.from(chunk.subarray(sent)));
      this.#bytes += chunk.length - sent;
    }
    return this.#bytes < mostWaiting;
  }

  /** To be called when the socket can be written again; true when nothing waits any more. */
  drain() {
    while (this.#waiting.length > 0) {
      const [chunk] = this.#waiting;
      const sent = Math.max(0, this.#socket.write(chunk));
      this.#bytes -= sent;
      if (sent < chunk.length) {
        this.#waiting[0] = chunk.subarray(sent);
        return false;
      }
      this.#waiting.shift();
    }
    return true;
  }
}
