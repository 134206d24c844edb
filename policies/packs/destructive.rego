# METADATA
# scope: package
# title: What cannot be taken back needs a person
# description: |
#   Deletes, payments, changes of credentials and of permissions, unless a grant names the tool, or, where provenance is
#   judged, the user's purpose asks for it.
package agentgate.packs.destructive

import data.agentgate.packs.baseline
import data.agentgate.packs.verdict

complete if is_array(input.tool.labels)

approvals := [verdict.held(concat("/", ["destructive", label]), concat("", [
	"the tool is labelled ", label, ": a grant that names ", input.call.tool, ", a purpose that asks for it or a person lets it through",
])) |
	data.policy.packs.destructive
	some label in ["payment", "delete", "credential", "permission"]
	label in input.tool.labels
	not baseline.granted_by_name
	not asked_for
]

asked_for if {
	data.policy.packs.provenance
	input.facts.purpose.asks
	left
}

left if input.facts.purpose.budget == -1

left if input.facts.purpose.used < input.facts.purpose.budget
