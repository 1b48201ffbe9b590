// Checks the histories of partitions with porcupine: is there an order of all produces and fetches, in which each takes
// effect between its call and its return, that one log could have answered?
//
// Reads one JSON object from stdin and prints one: {"ok": bool, "partitions": n, "operations": n, "problems": [...]}.
// Exits with 0 if everything is linearizable, with 1 if not, with 64 if the input makes no sense.
//
// The log is append-only, and its contents are known: "log" is what was read when all was over. So the state of the model
// is how many of its records there are.
//
//   - produce: the record is appended at its offset, and nothing else may lie between. One that was not answered may have
//     been appended at any time since: if the log has it, it returns at the end of the history; if not, it is left out.
//   - fetch: what it returned was there. Less than there is may be returned, and nothing at all.
//   - end: the end of the log that a client was told is there.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type input struct {
	Partitions []partition `json:"partitions"`
}

type partition struct {
	Name string `json:"name"`
	// Values by offset.
	Log        []string    `json:"log"`
	Operations []operation `json:"operations"`
}

type operation struct {
	Kind   string `json:"kind"`
	Client int    `json:"client"`
	// Microseconds.
	Call   int64    `json:"call"`
	Return int64    `json:"return"`
	Offset int      `json:"offset"`
	Values []string `json:"values"`
	// Answered: otherwise nobody knows what became of it.
	Known bool `json:"known"`
}

const timeout = 60 * time.Second

func modelOf(log []string) porcupine.Model {
	return porcupine.Model{
		Init: func() interface{} { return 0 },
		Step: func(state, in, _ interface{}) (bool, interface{}) {
			length := state.(int)
			op := in.(operation)
			switch op.Kind {
			case "produce":
				ok := op.Offset == length && length < len(log) && log[length] == op.Values[0]
				return ok, length + 1
			case "fetch":
				if op.Offset+len(op.Values) > length {
					return len(op.Values) == 0, length
				}
				for i, value := range op.Values {
					if log[op.Offset+i] != value {
						return false, length
					}
				}
				return true, length
			default:
				return op.Offset <= length, length
			}
		},
		DescribeOperation: func(in, _ interface{}) string {
			op := in.(operation)
			return fmt.Sprintf("%s at %d: %v", op.Kind, op.Offset, op.Values)
		},
	}
}

// check returns how many operations were checked, and a problem or nothing.
func check(p partition) (int, string) {
	places := map[string]int{}
	for offset, value := range p.Log {
		if before, twice := places[value]; twice {
			return 0, fmt.Sprintf("%s: %s is at %d and at %d", p.Name, value, before, offset)
		}
		places[value] = offset
	}
	var end int64
	for _, op := range p.Operations {
		end = max(end, op.Return)
	}
	var history []porcupine.Operation
	known := map[int]bool{}
	for _, op := range p.Operations {
		if op.Kind == "produce" {
			place, there := places[op.Values[0]]
			if op.Known && (!there || place != op.Offset) {
				return 0, fmt.Sprintf("%s: %s was acknowledged at %d, and is not there", p.Name, op.Values[0], op.Offset)
			}
			if !there {
				continue
			}
			if !op.Known {
				op.Offset = place
				op.Return = end + 1
			}
			known[place] = true
		}
		history = append(history, porcupine.Operation{
			ClientId: op.Client, Input: op, Call: op.Call, Output: nil, Return: op.Return,
		})
	}
	for offset, value := range p.Log {
		if !known[offset] {
			return 0, fmt.Sprintf("%s: nobody wrote %s, at %d", p.Name, value, offset)
		}
	}
	switch porcupine.CheckOperationsTimeout(modelOf(p.Log), history, timeout) {
	case porcupine.Ok:
		return len(history), ""
	case porcupine.Illegal:
		return len(history), fmt.Sprintf("%s: the history of %d operations is not linearizable", p.Name, len(history))
	default:
		return len(history), fmt.Sprintf("%s: not decided within %s", p.Name, timeout)
	}
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "linearizable:", err)
		os.Exit(64)
	}
	problems := []string{}
	operations := 0
	for _, p := range in.Partitions {
		count, problem := check(p)
		operations += count
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	out := map[string]any{
		"ok": len(problems) == 0, "partitions": len(in.Partitions), "operations": operations, "problems": problems,
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		os.Exit(64)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}
