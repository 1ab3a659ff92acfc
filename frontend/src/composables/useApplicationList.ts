import { ref } from 'vue'
import { listApplications, type Application, type ApplicationQuery } from '@/api/applications'
import { useAction } from '@/composables/useAction'

/** Reads the list page by page. An answer to a question that was replaced meanwhile is dropped. */
export function useApplicationList() {
  const applications = ref<Application[]>()
  const total = ref(0)
  const nextCursor = ref<string>()
  let question: ApplicationQuery = {}
  let asked = 0

  const { busy, error, run } = useAction(async (cursor?: string) => {
    const turn = ++asked
    const page = await listApplications({ ...question, cursor })
    if (turn !== asked) return
    applications.value = cursor ? [...(applications.value ?? []), ...page.items] : page.items
    total.value = page.total
    nextCursor.value = page.nextCursor ?? undefined
  })

  function ask(query: ApplicationQuery) {
    question = query
    return run()
  }

  return { applications, total, nextCursor, busy, error, ask, reload: () => run(), more: () => run(nextCursor.value) }
}
