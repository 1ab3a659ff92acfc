import { onScopeDispose, ref } from 'vue'

const feedback = 2000 // ms: long enough to notice, short enough not to mislead at the next copy

/** Copies text, and says for a moment that it did. */
export function useClipboard() {
  const copied = ref(false)
  const failed = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  onScopeDispose(() => clearTimeout(timer))

  async function copy(text: string) {
    clearTimeout(timer)
    try {
      await navigator.clipboard.writeText(text)
      copied.value = true
      failed.value = false
    } catch {
      failed.value = true // not a secure context, or forbidden: the text stays selectable
    }
    timer = setTimeout(() => (copied.value = failed.value = false), feedback)
  }

  return { copied, failed, copy }
}
