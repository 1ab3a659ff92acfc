import { createPinia, setActivePinia } from 'pinia'
import { vi } from 'vitest'
import { flushPromises, mount } from '@vue/test-utils'
import { createMemoryHistory } from 'vue-router'
import ui from '@nuxt/ui/vue-plugin'
import App from '@/App.vue'
import { i18n } from '@/i18n'
import { makeRouter } from '@/router'
import { useConfigStore } from '@/stores/config'

// The first visit to a lazy page compiles it, which takes a while on a busy machine.
const patience = { timeout: 10_000 }

/** Opens the whole app at an address, as a browser would: real router, guards, stores and messages. */
export async function visit(path: string) {
  const pinia = createPinia()
  const router = makeRouter(createMemoryHistory())
  setActivePinia(pinia)
  await useConfigStore().load()
  await router.push(path)
  mount(App, { attachTo: document.body, global: { plugins: [pinia, router, i18n, ui] } })
  await router.isReady()
  await settled()

  const text = () => document.body.textContent ?? ''
  const field = (label: string) => {
    const found = [...document.querySelectorAll('label')].find((each) => each.textContent?.trim() === label)
    const control = found?.htmlFor ? document.getElementById(found.htmlFor) : found?.querySelector('input')
    if (!(control instanceof HTMLInputElement)) throw new Error(`no field labelled ${label}`)
    return control
  }
  const button = (name: string) => {
    const found = [...document.querySelectorAll('button, a')].find(
      (each) => (each.getAttribute('aria-label') ?? each.textContent)?.trim() === name,
    )
    if (!(found instanceof HTMLElement)) throw new Error(`no button named ${name}`)
    return found
  }

  return {
    router,
    text,
    field,
    button,
    async fill(label: string, value: string) {
      const control = await vi.waitFor(() => field(label), patience)
      control.value = value
      control.dispatchEvent(new Event('input', { bubbles: true }))
      control.dispatchEvent(new Event('change', { bubbles: true }))
      await flushPromises()
    },
    async press(name: string) {
      ;(await vi.waitFor(() => button(name), patience)).click()
      await settled()
    },
    async submit() {
      const form = document.querySelector('form')
      form?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }))
      await settled()
    },
    sees: (words: string) => vi.waitFor(() => expectText(text(), words), patience),
  }
}

function expectText(text: string, words: string) {
  if (!text.includes(words)) throw new Error(`"${words}" is not on the page: ${text}`)
}

async function settled() {
  await flushPromises()
  await flushPromises()
}
