import { onBeforeUnmount, onMounted, ref, type Ref } from 'vue'
import { onBeforeRouteLeave, onBeforeRouteUpdate } from 'vue-router'

/** Asks before a page with unsaved input is left: in the app by a dialog of ours, otherwise by the browser's. */
export function useUnsavedGuard(dirty: Readonly<Ref<boolean>>) {
  const asking = ref(false)
  let answer: ((leave: boolean) => void) | undefined

  function ask(): Promise<boolean> | boolean {
    if (!dirty.value) return true
    asking.value = true
    return new Promise((resolve) => (answer = resolve))
  }

  function reply(leave: boolean) {
    asking.value = false
    answer?.(leave)
    answer = undefined
  }

  function beforeUnload(event: BeforeUnloadEvent) {
    if (dirty.value) event.preventDefault()
  }

  onBeforeRouteLeave(ask)
  onBeforeRouteUpdate(ask)
  onMounted(() => window.addEventListener('beforeunload', beforeUnload))
  onBeforeUnmount(() => window.removeEventListener('beforeunload', beforeUnload))

  return { asking, reply }
}
