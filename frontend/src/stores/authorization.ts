import { ref } from 'vue'
import { defineStore } from 'pinia'
import { getRequest, type AuthorizationRequest } from '@/api/requests'

/** The authorization request that the auth pages work on, handed from page to page. */
export const useAuthorizationStore = defineStore('authorization', () => {
  const request = ref<AuthorizationRequest>()
  let fresh = false

  /** Reads the request, unless the page before has just read it. */
  async function open(id: string): Promise<AuthorizationRequest> {
    if (fresh && request.value?.id === id) {
      fresh = false
      return request.value
    }
    request.value = undefined
    return (request.value = await getRequest(id))
  }

  /** Remembers the state that the server answered with, for the page that comes next. */
  function keep(answer: AuthorizationRequest) {
    request.value = answer
    fresh = true
  }

  return { request, open, keep }
})
