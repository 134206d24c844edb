# A person's word takes the place of what asked for it, and of nothing that denies.
package agentgate.packs.approval_test

import data.agentgate.packs.testing

granted := {"granted": true, "by": "ann", "at": 1}

case(more, want) := object.union({"packs": ["destructive", "dlp"], "labels": ["delete"], "approval": granted, "want": want}, more)

held := ["require_approval", "destructive/delete"]

cases := [
	case({}, ["allow", "g"]),
	case({"approval": null}, held),
	case({"approval": object.union(granted, {"granted": false})}, held),
	case({"approval": object.union(granted, {"granted": "true"})}, held),
	case({"approval": "yes"}, held),
	case({"effect": "require_approval", "packs": []}, ["allow", "g"]),
	case({"effect": "require_approval", "packs": [], "approval": null}, ["require_approval", "g"]),
	case({"effect": "deny"}, ["deny", "g"]),
	case({"facts": {"dlp": [{"pointer": "/body", "kind": "secret", "name": "crm"}]}}, ["deny", "dlp/secret"]),
	case({"facts": {"dlp": null}}, "undefined"),
	case({"place": {"exact": {"fs/other": [0]}}}, "no rule"),
]

said(one) := testing.said_or_not(one) if one.want != "no rule"

said(one) := "no rule" if {
	one.want == "no rule"
	testing.decide(one).code == "NO_GRANT"
}

test_approval if {
	wrong := [[one, got] |
		some one in cases
		got := said(one)
		got != one.want
	]
	wrong == []
	heard := [one |
		some one in cases
		said(one)
	]
	count(heard) == 11
}

test_what_goes_with_it if {
	by_grant := {"effect": "require_approval", "packs": ["limits"], "facts": {"profile": {"taint": ["a"], "rate_limits": []}}}
	allowed := testing.decide(case(by_grant, []))
	[allowed.reason, allowed.obligations] == ["approved by ann", {"taint": ["a"]}]
	asked := testing.decide(case(object.union(by_grant, {"approval": null}), []))
	asked.obligations == {}
}
