package agentgate.packs.destructive_test

import data.agentgate.packs.testing

case(more, want) := object.union({"packs": ["destructive"], "labels": ["delete"], "want": want}, more)

passes := ["allow", "g"]

held := ["require_approval", "destructive/delete"]

asks(more) := {"purpose": object.union(testing.purpose, more)}

cases := array.concat(
	[case({"labels": [label]}, ["require_approval", concat("/", ["destructive", label])]) |
		some label in ["delete", "payment", "credential", "permission"]
	],
	[
		case({"labels": ["write"]}, passes),
		case({"labels": ["send"]}, passes),
		case({"labels": ["read"]}, passes),
		case({"labels": ["ours", "delete"]}, held),
		case({"place": testing.by_name}, passes),
		case({"place": testing.by_pattern}, held),
		case({"packs": []}, passes),
		# Without provenance nobody judged whether the purpose asks.
		case({"facts": asks({})}, held),
		case({"packs": ["destructive", "provenance"], "facts": asks({})}, passes),
		case({"packs": ["destructive", "provenance"], "facts": asks({"asks": false, "delegates": true})}, held),
		case({"packs": ["destructive", "provenance"], "facts": asks({"used": 1})}, ["require_approval", "provenance/budget"]),
		case({"place": testing.by_name, "effect": "deny"}, ["deny", "g"]),
		case({"labels": null}, "undefined"),
	],
)

test_destructive if {
	testing.wrong(cases) == []
	count(cases) == 17
}
