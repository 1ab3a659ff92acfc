import './main.css'
import { createApp } from 'vue'
import { createPinia } from 'pinia'
import ui from '@nuxt/ui/vue-plugin'
import App from './App.vue'
import { whenSignedOut } from './api/http'
import { i18n, initLocale } from './i18n'
import { router, signInFrom } from './router'
import { useConfigStore } from './stores/config'
import { useSessionStore } from './stores/session'

const app = createApp(App).use(createPinia())

// A session can end at any moment: revoked elsewhere, expired, or closed in another tab.
whenSignedOut(() => {
  useSessionStore().forget()
  const { meta, fullPath } = router.currentRoute.value
  if (meta.access === 'signedIn' || meta.access === 'admin') void router.push(signInFrom(fullPath))
})

await Promise.all([initLocale(), useConfigStore().load()])
app.use(router).use(i18n).use(ui).mount('#app')
