// Quaternions [x, y, z, w], as WebXR has them. Only what the virtual hand needs.

export const STRAIGHT = [0, 0, 0, 1];

/** The rotation by `angle` radians about a unit axis. */
export function about([x, y, z], angle) {
  const s = Math.sin(angle / 2);
  return [x * s, y * s, z * s, Math.cos(angle / 2)];
}

/** First `b`, then `a`, both about fixed axes; of length one again. */
export function after(a, b) {
  const [ax, ay, az, aw] = a, [bx, by, bz, bw] = b;
  const q = [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
  const length = Math.hypot(...q);
  return q.map((v) => v / length);
}
