package agentgate

# METADATA
# description: The decision and every grant that was weighed for it, in the order of weight. For people; nothing acts on it.
explain := {
	"decision": decision,
	"grants": [object.union({"id": each.grant.id, "effect": each.grant.effect}, each.fact) | some each in judged],
}
