import { nextTick } from 'vue'
import type { FormErrorEvent } from '@nuxt/ui'

/** Puts the focus on the first field that is wrong, so that nobody has to look for it. */
export async function focusFirstError(event: FormErrorEvent) {
  await nextTick()
  const id = event.errors.find((error) => error.id)?.id
  if (id) document.getElementById(id)?.focus()
}
