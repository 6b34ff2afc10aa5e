// One clock for all linked stages: t runs linearly from 0 to 1 in 4 s, holds, fades, and after three loops rests at t = 1.

const CLOCK = { run: 4000, hold: 1500, fade: 400, loops: 3 }; // milliseconds at speed 1

// What the clock shows `elapsed` ms after a start at t = 0: { time, fade, resting }. fade in [0, 1] is the opacity of what moves.
function clockAt(elapsed) {
  const period = CLOCK.run + CLOCK.hold + CLOCK.fade, loop = Math.floor(elapsed / period), within = elapsed - loop * period;
  if (loop >= CLOCK.loops || (loop === CLOCK.loops - 1 && within >= CLOCK.run)) return { time: 1, fade: 1, resting: true };
  if (within < CLOCK.run) return { time: within / CLOCK.run, fade: loop === 0 ? 1 : Math.min(1, within / 200), resting: false };
  return { time: 1, fade: Math.min(1, (period - within) / CLOCK.fade), resting: false };
}

// A clock that calls tick({ time, fade, playing, moving }) on each frame while it plays, and once for each change otherwise.
// now() in ms; request(callback) and cancel(handle) as requestAnimationFrame has them. `moving` is true where time changes by itself.
function makeClock(tick, { now, request, cancel }) {
  let elapsed = CLOCK.run, speed = 1, playing = false, suspended = false, handle = null, last = 0, shown = { time: 1, fade: 1 };
  const report = () => tick({ time: shown.time, fade: shown.fade, playing, moving: playing && !suspended });
  const frame = () => {
    const present = now();
    elapsed += speed * Math.min(100, present - last); // a frame that came late does not make particles jump
    last = present;
    shown = clockAt(elapsed);
    if (shown.resting) playing = false;
    handle = playing ? request(frame) : null;
    report();
  };
  const start = () => { if (playing && !suspended && handle === null) { last = now(); handle = request(frame); } };
  const stop = () => { if (handle !== null) { cancel(handle); handle = null; } };
  return {
    get time() { return shown.time; },
    get playing() { return playing; },
    get speed() { return speed; },
    // Plays three loops from the present time on; from the start where the clock stands at the end.
    play() {
      if (playing) return;
      elapsed = shown.time >= 1 ? 0 : shown.time * CLOCK.run;
      playing = true;
      shown = clockAt(elapsed);
      start();
      report();
    },
    pause() {
      playing = false;
      stop();
      shown = { time: shown.time, fade: 1 };
      report();
    },
    // Shows a time in [0, 1] and stops there.
    seek(time) {
      playing = false;
      stop();
      shown = { time: Math.min(1, Math.max(0, time)), fade: 1 };
      report();
    },
    // Times as fast as usual, above 0.
    setSpeed(value) {
      if (!(value > 0)) throw new Error(`speed=${value} must be above 0`);
      speed = value;
    },
    // Stands still while nobody can see the stages, without losing its place.
    suspend(hidden) {
      if (hidden === suspended) return;
      suspended = hidden;
      if (hidden) stop(); else start();
    },
  };
}

// Suspends the clock while the page is hidden or none of `elements` is on the screen. Returns what ends the watch.
function watchVisibility(clock, elements) {
  const page = elements[0].ownerDocument, onScreen = new Set(elements);
  const judge = () => clock.suspend(page.hidden || onScreen.size === 0);
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) onScreen.add(target); else onScreen.delete(target);
    judge();
  });
  elements.forEach((element) => observer.observe(element));
  page.addEventListener("visibilitychange", judge);
  return () => { observer.disconnect(); page.removeEventListener("visibilitychange", judge); };
}

// Whether the reader asked for less motion: then nothing plays by itself.
function prefersStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
