/* SHA-256 (FIPS 180-4) of an ArrayBuffer, for pages on plain http, where the browser keeps crypto.subtle to itself. */

const K = new Uint32Array(64);
const START = new Uint32Array(8);
{
  // The constants are the first 32 bits of the fractional parts of roots of the first primes (FIPS 180-4, 4.2.2, 5.3.3).
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  let found = 0;
  for (let n = 2; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = fraction(Math.sqrt(n));
    K[found++] = fraction(Math.cbrt(n));
  }
}

function block(state, w) {
  for (let t = 16; t < 64; t++) {
    const a = w[t - 15];
    const b = w[t - 2];
    const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
    const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
    w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; // one by one: a destructured rotation is several times slower
    d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

/** The 32 bytes of the digest. */
export function sha256(buffer) {
  const bytes = new Uint8Array(buffer);
  const padded = new Uint8Array(Math.ceil((bytes.length % 64 + 9) / 64) * 64);
  const whole = bytes.length - (bytes.length % 64);
  padded.set(bytes.subarray(whole));
  padded[bytes.length % 64] = 0x80;
  const bits = new DataView(padded.buffer);
  bits.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  bits.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);

  const state = START.slice();
  const w = new Int32Array(64);
  const eat = (view, until) => {
    for (let at = 0; at < until; at += 64) {
      for (let t = 0; t < 16; t++) w[t] = view.getInt32(at + 4 * t);
      block(state, w);
    }
  };
  eat(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), whole);
  eat(bits, padded.length);
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((value, i) => out.setUint32(4 * i, value));
  return new Uint8Array(out.buffer);
}
