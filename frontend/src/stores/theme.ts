import { computed, ref, watchEffect } from 'vue'
import { defineStore } from 'pinia'

export const themes = ['auto', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

/** Light, dark, or as the system says. theme.js reads the same key before the first paint. */
export const useThemeStore = defineStore('theme', () => {
  const theme = ref<Theme>(saved())
  const system = matchMedia('(prefers-color-scheme: dark)')
  const systemDark = ref(system.matches)
  system.addEventListener('change', (event) => (systemDark.value = event.matches))
  const dark = computed(() => theme.value === 'dark' || (theme.value === 'auto' && systemDark.value))

  watchEffect(() => document.documentElement.classList.toggle('dark', dark.value))

  function set(next: Theme) {
    theme.value = next
    try {
      localStorage.setItem('theme', next)
    } catch {
      // Storage is blocked: the choice lasts as long as the page.
    }
  }

  /** The next of the three, for a button that walks through them. */
  function cycle() {
    set(themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'auto')
  }

  return { theme, dark, set, cycle }
})

function saved(): Theme {
  try {
    return themes.find((theme) => theme === localStorage.getItem('theme')) ?? 'auto'
  } catch {
    return 'auto'
  }
}
