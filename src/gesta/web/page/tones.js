/** Short tones for the countdown and the end of a clip. */

let context;

/** Prepares the sound. Call it after a click or key press: browsers allow sound only then. */
export function readyTones() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
}

export function tone(hertz, length_s = 0.12) {
  if (!context) return;
  const [swing, loud] = [context.createOscillator(), context.createGain()];
  const end = context.currentTime + length_s;
  swing.frequency.value = hertz;
  loud.gain.setValueAtTime(0.2, context.currentTime);
  loud.gain.exponentialRampToValueAtTime(0.001, end);
  swing.connect(loud).connect(context.destination);
  swing.start();
  swing.stop(end);
}
