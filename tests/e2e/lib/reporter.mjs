// One line per test, the reason below a failure, and the counts as JSON in E2E_COUNTS for the closing line of `run`.

import fs from 'node:fs'

const counts = { passed: 0, failed: 0, skipped: 0 }

function reason(error) {
  const cause = error?.cause ?? error
  const stack = (cause?.stack ?? '').split('\n').filter((line) => /suites|lib\//.test(line)).slice(0, 4)
  return `${cause?.message ?? cause}\n${stack.join('\n')}`
}

export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const isSuite = data.details?.type === 'suite'
    if (isSuite && type === 'test:pass') continue
    const skipped = data.skip !== undefined && data.skip !== false
    const isParent = isSuite || data.details?.error?.failureType === 'subtestsFailed'
    if (isParent) continue
    const outcome = skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed'
    counts[outcome] += 1
    const mark = { passed: 'ok     ', skipped: 'skipped', failed: 'FAILED ' }[outcome]
    const why = skipped && typeof data.skip === 'string' ? ` (${data.skip})` : ''
    yield `  ${mark} ${data.name}${why}\n`
    if (outcome === 'failed') yield `${reason(data.details.error).replace(/^/gm, '      ')}\n`
  }
  if (process.env.E2E_COUNTS) fs.writeFileSync(process.env.E2E_COUNTS, JSON.stringify(counts))
}
