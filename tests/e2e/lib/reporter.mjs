// One line per test, the reason below a failure; the counts as JSON in E2E_COUNTS and every failure as a line of JSON in
// E2E_FAILURES, for what `run` says at its end. Both are written as the tests end, so that a suite that is stopped has said
// what it knew.

import fs from 'node:fs'

const { E2E_COUNTS, E2E_FAILURES, E2E_ENGINE: engine, E2E_SUITE: suite, E2E_TRY: attempt } = process.env
const counts = { passed: 0, failed: 0, skipped: 0 }

function reason(error) {
  const cause = error?.cause ?? error
  const stack = (cause?.stack ?? '').split('\n').filter((line) => /suites|lib\//.test(line)).slice(0, 4)
  return `${cause?.message ?? cause}\n${stack.join('\n')}`.trimEnd()
}

export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const isSuite = data.details?.type === 'suite'
    if (isSuite && type === 'test:pass') continue
    const skipped = data.skip !== undefined && data.skip !== false
    // What went wrong before the tests of a suite could begin is said once, here.
    const { failureType } = data.details?.error ?? {}
    const isParent = (isSuite && failureType !== 'hookFailed') || failureType === 'subtestsFailed'
    if (isParent) continue
    const outcome = skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed'
    counts[outcome] += 1
    if (E2E_COUNTS) fs.writeFileSync(E2E_COUNTS, JSON.stringify(counts))
    const mark = { passed: 'ok     ', skipped: 'skipped', failed: 'FAILED ' }[outcome]
    const why = skipped && typeof data.skip === 'string' ? ` (${data.skip})` : ''
    yield `  ${mark} ${data.name}${why}\n`
    if (outcome !== 'failed') continue
    const told = reason(data.details.error)
    yield `${told.replace(/^/gm, '      ')}\n`
    if (E2E_FAILURES) fs.appendFileSync(E2E_FAILURES, `${JSON.stringify({ engine, suite, attempt, name: data.name, reason: told })}\n`)
  }
}
