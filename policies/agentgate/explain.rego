package agentgate

import data.agentgate.packs.baseline

# METADATA
# description: |
#   The decision, what the packs beyond the baseline said, and every grant that was weighed, in the order of weight. For
#   people; nothing acts on it.
explain := {
	"decision": decision,
	"packs": array.concat(refusals, approvals),
	"exception": object.get(input.facts, "exception", null),
	"grants": [object.union({"id": each.grant.id, "effect": each.grant.effect}, each.fact) | some each in baseline.judged],
}
