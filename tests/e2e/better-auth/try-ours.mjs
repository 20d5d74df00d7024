// Compares Doorward with the recordings' servers and prints what differs: `node try-ours.mjs v17 [SCENARIO]`, with DOORWARD_BIN.

import { Known, judge } from './compare.mjs'
import { startOurs } from './doorward-target.mjs'
import { startIdp } from './idp.mjs'
import { scenarios } from './scenarios/index.mjs'
import { play } from './talk.mjs'
import { VERSIONS, startReference } from './target.mjs'

const [version = 'v17', only] = process.argv.slice(2)
const wantedOnes = scenarios.filter(({ name }) => !only || name.includes(only))
const parts = [...new Set(wantedOnes.map(({ part }) => part))]
const packages = await import(`./${version}/packages.mjs`)
const idp = await startIdp()
const [reference, ours] = [await startReference(version, { idp, parts }), await startOurs({ idp, version, parts })]
const known = new Known()
let calls = 0
let wrong = 0
let accepted = 0
for (const scenario of wantedOnes) {
  const able = scenario.needs.every((op) => ours.can(op))
  const can = (op) => ours.can(op)
  if (!able) {
    console.log(`left out ${scenario.name}`)
    continue
  }
  const settings = { version, packages, idp }
  const wanted = await play(scenario, { ...settings, target: { ...reference, can } })
  const got = await play(scenario, { ...settings, target: ours })
  const found = judge({ scenario: scenario.name, version, wanted, got, known })
  calls += wanted.length
  wrong += found.wrong.length
  accepted += found.accepted
  console.log(`${found.wrong.length ? 'DIFFERS' : 'equal  '} ${scenario.name}: ${wanted.length} calls, ${found.wrong.length} differ`)
  for (const one of found.wrong) console.log(`  ${one.replaceAll('\n', '\n  ')}`)
}
console.log(`${VERSIONS[version]} and ours: ${calls} calls, ${wrong} differ, ${accepted} differences known`)
await Promise.all([reference.stop(), ours.stop(), idp.close()])
process.exit(wrong ? 1 : 0)
