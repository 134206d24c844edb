# METADATA
# scope: package
# title: AgentGate's decision about one call
# description: |
#   Composes the packs that `data.policy.packs` switches on, by one precedence: deny over approval over allow. `baseline` is
#   always on, and nothing is allowed that it does not allow. Within one step its verdict stands before the others', and
#   theirs in the order of the lists below. A pack whose facts are missing leaves `decision` undefined, and undefined is a denial.
package agentgate

import data.agentgate.packs.baseline
import data.agentgate.packs.destructive
import data.agentgate.packs.dlp
import data.agentgate.packs.egress
import data.agentgate.packs.limits
import data.agentgate.packs.provenance

decision := settled(baseline.verdict) if {
	complete
	baseline.verdict.action == "deny"
} else := settled(refusals[0]) if {
	complete
	baseline.verdict
	count(refusals) > 0
} else := settled(baseline.verdict) if {
	complete
	baseline.verdict.action == "require_approval"
	not approved
} else := settled(approvals[0]) if {
	complete
	baseline.verdict
	count(approvals) > 0
	not approved
} else := object.union(object.remove(permitted, ["obligations"]), {"obligations": object.union(kept, promised)}) if {
	complete
	baseline.verdict.action in {"allow", "require_approval"}
}

# A person's word takes the place of what asked for it, and of nothing that denies.
approved if input.approval.granted == true

permitted := object.union(baseline.verdict, {
	"action": "allow",
	"code": "OK",
	"reason": concat("", ["approved by ", input.approval.by]),
}) if {
	approved
} else := baseline.verdict

refusals := array.concat(dlp.refusals, egress.refusals)

approvals := array.concat(provenance.approvals, array.concat(egress.approvals, destructive.approvals))

complete if {
	provenance.complete
	destructive.complete
	dlp.complete
	egress.complete
	limits.complete
}

settled(verdict) := object.union(verdict, {"obligations": object.union(object.get(verdict, "obligations", {}), kept)})

# What is asked for whatever the decision is: the evidence of a refused call holds its arguments as well.
kept := {name: input.facts.profile[name] |
	some name in ["redact", "evidence"]
	input.facts.profile[name]
}

# What goes with a permit: the credential that the configuration names for the tool's server, labels, limits, witnesses.
promised := object.union(object.union(limits.obligations, witnessed), object.union(credential, taint))

witnessed := {"witnessed": true} if input.facts.profile.witnessed

witnessed := {} if not input.facts.profile.witnessed

credential := {"credential": data.credentials[input.call.server]}

credential := {} if not data.credentials[input.call.server]

taint := {"taint": labels |
	labels := input.facts.profile.taint
	count(labels) > 0
}
