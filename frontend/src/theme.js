// Runs before the first paint, so that a dark page never flashes white. A file of its own because the CSP allows no inline script.
;(function () {
  var mode = 'auto'
  try {
    mode = localStorage.getItem('theme') || 'auto'
  } catch {
    // Storage may be blocked; the system's choice is then the best one.
  }
  var dark = mode === 'dark' || (mode !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.toggle('dark', dark)
})()
