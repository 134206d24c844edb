# What the packs' tables share. A case is an input, and what stands in `call.decided` for it.
package agentgate.packs.testing

import data.agentgate

purpose := {
	"given": true, "asks": true, "delegates": false, "budget": 1, "used": 0, "links": false, "names_pages": false,
	"somebody_else": false,
}

no_facts := {
	"purpose": purpose, "values": [], "copied": false, "overflow": false, "dlp": [], "hosts": [],
	"profile": {"taint": [], "rate_limits": []}, "grants": {},
}

call(labels, facts, taint) := {
	"call": {"tool": "mail/send", "server": "mail", "name": "send", "arguments": {}, "digest": ""},
	"tool": {"labels": labels, "annotations": {}, "schema_digest": "", "pinned": false},
	"agent": {"name": "demo", "tenant": "default", "labels": []},
	"session": {"id": "ses_1", "age_s": 1, "purpose": "", "taint": taint, "calls": 0, "denied": 0},
	"provenance": {},
	"approval": null,
	"now": 0,
	"facts": object.union(no_facts, facts),
}

grants_of(effect, place) := {
	"list": [{"id": "g", "effect": effect, "conditional": false}],
	"whom": {"agent:default/demo": object.union({"exact": {}, "server": {}, "any": []}, place)},
}

by_pattern := {"server": {"mail": [{"grant": 0}]}}

by_name := {"exact": {"mail/send": [0]}}

# `case`: packs, labels and facts; `taint`, `place`, `effect`, `only_listed` where they matter.
decide(case) := decision if {
	input_ := call(case.labels, object.get(case, "facts", {}), object.get(case, "taint", []))
	grants := grants_of(object.get(case, "effect", "allow"), object.get(case, "place", by_pattern))
	policy := {
		"packs": {pack: true | some pack in case.packs},
		"egress": {"only_listed": object.get(case, "only_listed", false)},
	}
	asked := object.union(input_, {"approval": object.get(case, "approval", null)})
	decision := agentgate.decision with input as asked with data.grants as grants
		with data.credentials as {} with data.policy as policy
}

# The action, the code where it is not the action's only one, and the rule.
said(case) := [decision.action, decision.rule] if decision := decide(case)

wrong(cases) := [[case, said_or_not(case)] |
	some case in cases
	said_or_not(case) != case.want
]

said_or_not(case) := said(case)

said_or_not(case) := "undefined" if not said(case)
