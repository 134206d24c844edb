package agentgate.packs.egress_test

import data.agentgate.packs.testing

host(more) := object.union(
	{
		"pointer": "/url", "host": "example.com", "class": "public", "list": "unlisted",
		"in_purpose": false, "mail": false,
	},
	more,
)

case(more, want) := {"packs": ["egress"], "labels": ["fetch"], "facts": {"hosts": [host(more)]}, "want": want}

tainted(labels, more, want) := object.union(case(more, want), {"taint": labels})

both := ["private-read", "untrusted-read"]

passes := ["allow", "g"]

refused(rule) := ["deny", concat("/", ["egress", rule])]

held := ["require_approval", "egress/tainted"]

cases := [
	case({}, passes),
	case({"class": "private"}, refused("private")),
	case({"class": "private", "list": "allowed"}, passes),
	case({"class": "private", "list": "denied"}, refused("denied")),
	case({"class": "metadata"}, refused("metadata")),
	case({"class": "metadata", "list": "allowed"}, refused("metadata")),
	case({"class": "unclear"}, refused("unclear")),
	case({"class": "unclear", "list": "allowed"}, refused("unclear")),
	case({"class": "something"}, refused("unclear")),
	case({"list": "denied"}, refused("denied")),
	case({"list": "something"}, refused("denied")),
	object.union(case({}, refused("unlisted")), {"only_listed": true}),
	object.union(case({"list": "allowed"}, passes), {"only_listed": true}),
	object.union(case({"class": "private"}, passes), {"packs": []}),
	object.union(case({}, "undefined"), {"facts": {"hosts": null}}),
	# After untrusted and private, nothing leaves to a host that the purpose does not name.
	tainted(both, {}, held),
	tainted(both, {"in_purpose": true}, passes),
	tainted(["untrusted-read"], {}, passes),
	tainted(["private-read"], {}, passes),
	tainted([], {}, passes),
	tainted(both, {"mail": true}, passes),
	tainted(both, {"list": "denied"}, refused("denied")),
	object.union(tainted(both, {}, passes), {"labels": ["read"]}),
]

test_egress if {
	testing.wrong(cases) == []
	count(cases) == 23
}
