// The hand of an operator without a headset: pushed about by mouse, keys and gamepad, in the axes that a headset's
// controller has: x right, y up, z towards the operator; metres.

import { STRAIGHT, about, after } from './rotation.js';

const SPEED_M_S = 0.15, TURN_RAD_S = 0.8, SLOW = 1 / 3;
const LONGEST_S = 0.05; // of a frame that was late, so much counts
const STEP_M = 0.03; // what a fast drag leaves over goes into the next samples: the jump gate is for mistakes
const AXES = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

export class Hand {
  constructor() {
    this.position = [0, 0, 0];
    this.orientation = STRAIGHT;
    this.pending = [0, 0, 0];
  }

  /** A way that was dragged, metres; it is gone in steps. */
  drag(way) { this.pending = this.pending.map((v, i) => v + way[i]); }

  /** What was dragged and not gone yet is forgotten. */
  rest() { this.pending = [0, 0, 0]; }

  /** One frame of `seconds`: `move` and `turn` have three components from -1 to 1. */
  step(seconds, { move, turn, slow }) {
    const s = Math.min(seconds, LONGEST_S) * (slow ? SLOW : 1);
    const length = Math.hypot(...this.pending);
    const share = length > STEP_M ? STEP_M / length : 1;
    this.position = this.position.map((v, i) => v + share * this.pending[i] + SPEED_M_S * s * clip(move[i]));
    this.pending = this.pending.map((v) => v * (1 - share));
    AXES.forEach((axis, i) => {
      if (turn[i]) this.orientation = after(about(axis, TURN_RAD_S * s * clip(turn[i])), this.orientation);
    });
  }
}

function clip(value) { return Math.max(-1, Math.min(1, value)); }
