import { ref } from 'vue'
import { defineStore } from 'pinia'
import { ApiError } from '@/api/http'
import { getConfig, type Config } from '@/api/config'

/** What the server tells everybody: its name, its logo, and the rules that forms repeat. */
export const useConfigStore = defineStore('config', () => {
  const config = ref<Config>({
    appName: 'CIRCLE Auth',
    signUpEnabled: false,
    passwordMinLength: 8,
    passwordMaxLength: 128,
    version: '',
    locales: ['en', 'fr'],
    issuer: `${location.origin}/api/auth`,
  })

  /** A server that cannot answer keeps the defaults; the form that the person then sends says what is wrong. */
  async function load() {
    try {
      config.value = await getConfig()
    } catch (e) {
      if (!(e instanceof ApiError)) throw e
    }
  }

  return { config, load }
})
