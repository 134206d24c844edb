# METADATA
# scope: package
# title: Grants, and nothing without one
# description: |
#   Grants are looked up, never scanned. What an argument condition says about an argument is a fact in `input.facts.grants`,
#   found before the engine: `holds`, `fails`, or `unclear` where nobody can tell safely. Which grants count, and which
#   wins, is decided here. A grant that needs a fact and has none leaves `verdict` undefined, and undefined is a denial.
package agentgate.packs.baseline

# Deny wins over an argument that cannot be judged, that over a person's approval, that over allow, and an exception over nothing
# but the lack of all these.
verdict := refused(grants_that("deny", "holds")[0]) if {
	complete
	count(grants_that("deny", "holds")) > 0
} else := unsafe(unclear[0]) if {
	complete
	count(unclear) > 0
} else := approval_needed(grants_that("require_approval", "holds")[0]) if {
	complete
	count(grants_that("require_approval", "holds")) > 0
} else := allowed(grants_that("allow", "holds")[0]) if {
	complete
	count(grants_that("allow", "holds")) > 0
} else := excepted(input.facts.exception) if {
	complete
	input.facts.exception
} else := argument_not_allowed(missed[0]) if {
	complete
	count(missed) > 0
} else := {
	"action": "deny",
	"code": "NO_GRANT",
	"reason": concat("", ["no grant lets agent ", input.agent.name, " call ", input.call.tool]),
	"obligations": {},
} if {
	complete
}

# The keys of the index under which this agent's grants stand, the most specific first.
whom := array.concat(
	[concat("", ["agent:", input.agent.tenant, "/", input.agent.name])],
	array.concat(
		[key |
			some label in input.agent.labels
			some tenant in [input.agent.tenant, "*"]
			key := concat("", ["label:", tenant, "/", label])
		],
		[concat("", ["tenant:", input.agent.tenant])],
	),
)

exact := [data.grants.list[number] |
	some key in whom
	some number in data.grants.whom[key].exact[input.call.tool]
]

by_server := [data.grants.list[entry.grant] |
	some key in whom
	some entry in data.grants.whom[key].server[input.call.server]
	fits(entry, "name", input.call.name)
]

by_pattern := [data.grants.list[entry.grant] |
	some key in whom
	some entry in data.grants.whom[key].any
	fits(entry, "server", input.call.server)
	fits(entry, "name", input.call.name)
]

# One side of a pattern is the whole text, or what stands before and after its one star.
fits(entry, part, _) if not entry[part]

fits(entry, part, text) if entry[part] == [text]

fits(entry, part, text) if {
	[before, after] := entry[part]
	count(text) >= count(before) + count(after)
	startswith(text, before)
	endswith(text, after)
}

# The grants that are about this agent and this tool, the most specific first.
matching := [grant |
	some grant in array.concat(exact, array.concat(by_server, by_pattern))
	labelled(grant)
]

# One that names this very tool lets it be called, and not by a pattern that may fit more than its author thought of.
granted_by_name if {
	some grant in exact
	labelled(grant)
	grant.effect == "allow"
	fact_of(grant).state == "holds"
}

labelled(grant) if not grant.labels

labelled(grant) if {
	some label in grant.labels
	label in input.agent.labels
}

judged := [{"grant": grant, "fact": fact} |
	some grant in matching
	fact := fact_of(grant)
]

fact_of(grant) := {"state": "holds"} if not grant.conditional

fact_of(grant) := input.facts.grants[grant.id] if {
	grant.conditional
	input.facts.grants[grant.id].state in {"holds", "fails", "unclear"}
}

complete if count(judged) == count(matching)

grants_that(effect, state) := [each.grant |
	some each in judged
	each.grant.effect == effect
	each.fact.state == state
]

# An allow that cannot be judged does not hold. A deny or an approval that cannot be judged must not be stepped around.
unclear := [each |
	some each in judged
	each.fact.state == "unclear"
	each.grant.effect != "allow"
]

# Grants that would have helped, had an argument been another.
missed := [each |
	some each in judged
	each.grant.effect != "deny"
	each.fact.state != "holds"
]

refused(grant) := {
	"action": "deny",
	"code": "POLICY_DENIED",
	"reason": concat("", ["grant ", grant.id, " denies this call"]),
	"rule": grant.id,
	"obligations": {},
}

approval_needed(grant) := {
	"action": "require_approval",
	"code": "APPROVAL_REQUIRED",
	"reason": concat("", ["grant ", grant.id, " lets this call through once a person approved it"]),
	"rule": grant.id,
	"obligations": {"approvers": approvers | approvers := grant.approvers},
}

allowed(grant) := {
	"action": "allow",
	"code": "OK",
	"reason": concat("", ["allowed by grant ", grant.id]),
	"rule": grant.id,
	"obligations": {},
}

# It stands in for a grant that is not there, so it comes after everything that any grant says.
excepted(exception) := {
	"action": "allow",
	"code": "OK",
	"reason": concat("", ["allowed until ", exception.until, " by exception ", exception.id, ", for which ", exception.owner, " answers"]),
	"rule": concat("", ["exception/", exception.id]),
	"obligations": {},
}

argument_not_allowed(each) := {
	"action": "deny",
	"code": "ARGUMENT_NOT_ALLOWED",
	"reason": concat("", [
		"argument ", each.fact.pointer, " does not satisfy \"", each.fact.condition,
		"\" of grant ", each.grant.id, ": ", each.fact.why,
	]),
	"rule": each.grant.id,
	"obligations": {},
}

unsafe(each) := {
	"action": "deny",
	"code": "ARGUMENT_NOT_ALLOWED",
	"reason": concat("", [
		"argument ", each.fact.pointer, " cannot be judged safely by \"", each.fact.condition,
		"\" of grant ", each.grant.id, ": ", each.fact.why,
	]),
	"rule": each.grant.id,
	"obligations": {},
}
