# What a call does to the world, by the labels of its tool.
package agentgate.packs.tool

effects := {"fetch", "write", "send", "payment", "delete", "permission", "credential", "execute"}

labels := {label | some label in input.tool.labels}

# Anything but a plain read. A tool of which nobody said what it does is taken to act.
acts if count(labels & effects) > 0

acts if not "read" in labels

only_fetches if labels & effects == {"fetch"}
