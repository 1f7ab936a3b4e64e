// ---- numbers as people read them

const whole = n => Math.round(n).toLocaleString("en-US");

function milliseconds(value) {
  if (value < 1000) return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  return `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`;
}
function bytes(value) {
  if (value < 2 ** 30) return `${(value / 2 ** 20).toFixed(value < 2 ** 24 ? 1 : 0)} MiB`;
  return `${(value / 2 ** 30).toFixed(2)} GiB`;
}
