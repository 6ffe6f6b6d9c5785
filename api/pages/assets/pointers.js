// Mouse, touch and keyboard control of the map.

const STEP = 60;
const KEYS = {
  ArrowLeft: (act) => act.move(STEP, 0),
  ArrowRight: (act) => act.move(-STEP, 0),
  ArrowUp: (act) => act.move(0, STEP),
  ArrowDown: (act) => act.move(0, -STEP),
  "+": (act) => act.zoom(1.5),
  "=": (act) => act.zoom(1.5),
  "-": (act) => act.zoom(1 / 1.5),
  0: (act) => act.fit(),
};

/** Call `move`, `zoom`, `hover`, `select` and `fit` on events of a canvas. */
export function followPointers(canvas, act) {
  const down = new Map();
  let travelled = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    travelled = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = at(event);
    const before = down.get(event.pointerId);
    if (!before) return act.hover(here);
    down.set(event.pointerId, here);
    travelled += Math.hypot(here[0] - before[0], here[1] - before[1]);
    if (down.size === 1) return act.move(here[0] - before[0], here[1] - before[1]);
    const other = [...down].find(([id]) => id !== event.pointerId)[1];
    const factor = Math.hypot(here[0] - other[0], here[1] - other[1]) / Math.hypot(before[0] - other[0], before[1] - other[1]);
    if (Number.isFinite(factor) && factor > 0) act.zoom(factor, [(here[0] + other[0]) / 2, (here[1] + other[1]) / 2]);
  });
  const up = (event) => {
    const last = down.get(event.pointerId);
    down.delete(event.pointerId);
    if (event.type === "pointerup" && last && travelled < 6 && !down.size) act.select(last);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => act.hover(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    act.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action(act);
  });
}
