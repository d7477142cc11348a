package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	pb "conformance/gen/performance_optimizer/control/v1"
)

// A value is an int64, a float64, a bool or a string.
type value any

type spec struct {
	ID       string
	Kind     string
	Default  value
	Min, Max float64
	Step     float64
	Log      bool
	Values   []string
	Applies  string
	// The default is the highest that a command may set.
	Ceiling bool
}

type origin struct {
	commandID       string
	epoch, revision uint64
}

type lease struct {
	until   time.Time
	expiry  pb.OnExpiry
	renewed bool
}

type held struct {
	value  value
	origin *origin
}

// A knob is guarded by the client's mutex.
type knob struct {
	spec     spec
	listener func(value) error
	held
	lease    *lease
	lastGood *held
	manual   bool
	// Rises with every change, so that whoever waited knows whether things have moved on.
	generation int
}

// wire numbers: an int knob's travel as ints, all others' as doubles.
func encode(kind string, v value) *pb.KnobValue {
	switch v := v.(type) {
	case bool:
		return &pb.KnobValue{Kind: &pb.KnobValue_BoolValue{BoolValue: v}}
	case string:
		return &pb.KnobValue{Kind: &pb.KnobValue_StringValue{StringValue: v}}
	case int64:
		return &pb.KnobValue{Kind: &pb.KnobValue_IntValue{IntValue: v}}
	case float64:
		if kind == "int" && v == math.Trunc(v) {
			return &pb.KnobValue{Kind: &pb.KnobValue_IntValue{IntValue: int64(v)}}
		}
		return &pb.KnobValue{Kind: &pb.KnobValue_DoubleValue{DoubleValue: v}}
	}
	return nil
}

func decode(v *pb.KnobValue) (value, bool) {
	switch kind := v.GetKind().(type) {
	case *pb.KnobValue_IntValue:
		return kind.IntValue, kind.IntValue <= maxExact && kind.IntValue >= -maxExact
	case *pb.KnobValue_DoubleValue:
		return kind.DoubleValue, !math.IsNaN(kind.DoubleValue) && !math.IsInf(kind.DoubleValue, 0)
	case *pb.KnobValue_BoolValue:
		return kind.BoolValue, true
	case *pb.KnobValue_StringValue:
		return kind.StringValue, true
	}
	return nil, false
}

const maxExact = 1<<53 - 1

func number(v value) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// normal is the value in the type that the knob's readers are promised.
func (s spec) normal(v value) value {
	n, isNumber := number(v)
	switch {
	case isNumber && s.Kind == "int":
		return int64(n)
	case isNumber:
		return n
	}
	return v
}

// whyNot says why a value is not one of the knob's; nothing when it is.
func (s spec) whyNot(v value) string {
	switch s.Kind {
	case "bool":
		if _, ok := v.(bool); !ok {
			return fmt.Sprintf("%v is not true or false", v)
		}
		return ""
	case "enum":
		if word, ok := v.(string); !ok || !slices.Contains(s.Values, word) {
			return fmt.Sprintf("%v is not one of %v", v, s.Values)
		}
		return ""
	}
	n, ok := number(v)
	switch {
	case !ok:
		return fmt.Sprintf("%v is not a number", v)
	case s.Kind == "int" && n != math.Trunc(n):
		return fmt.Sprintf("%v is not a whole number", v)
	case n < s.Min || n > s.Max:
		return fmt.Sprintf("%v is outside %v to %v", v, s.Min, s.Max)
	case s.Step > 0 && math.Abs((n-s.Min)/s.Step-math.Round((n-s.Min)/s.Step)) > 1e-6:
		return fmt.Sprintf("%v is not %v plus a multiple of %v", v, s.Min, s.Step)
	}
	return ""
}

// whyNotTunable is whyNot, of a value that a command wants.
func (s spec) whyNotTunable(v value) string {
	if why := s.whyNot(v); why != "" {
		return why
	}
	n, isNumber := number(v)
	top, _ := number(s.Default)
	if s.Ceiling && isNumber && n > top {
		return fmt.Sprintf("%v is above %v, its value at boot, which is this knob's ceiling", v, s.Default)
	}
	return ""
}

func (s spec) encode() *pb.KnobSpec {
	made := &pb.KnobSpec{
		Id:            s.ID,
		DefaultValue:  encode(s.Kind, s.Default),
		Baseline:      encode(s.Kind, s.Default),
		CeilingAtBoot: s.Ceiling,
		ApplyClass:    map[string]pb.ApplyClass{"drain": pb.ApplyClass_APPLY_CLASS_DRAIN, "reload": pb.ApplyClass_APPLY_CLASS_RELOAD, "restart": pb.ApplyClass_APPLY_CLASS_RESTART}[s.Applies],
	}
	domain := &pb.NumericDomain{Min: s.Min, Max: s.Max}
	if s.Log {
		domain.Scale = pb.Scale_SCALE_LOG
	}
	if s.Step > 0 {
		domain.Step = &s.Step
	}
	switch s.Kind {
	case "int":
		made.Domain = &pb.KnobSpec_IntDomain{IntDomain: domain}
	case "double":
		made.Domain = &pb.KnobSpec_DoubleDomain{DoubleDomain: domain}
	case "duration":
		made.Domain = &pb.KnobSpec_DurationDomain{DurationDomain: domain}
	case "bool":
		made.Domain = &pb.KnobSpec_BoolDomain{BoolDomain: &pb.BoolDomain{}}
	case "enum":
		made.Domain = &pb.KnobSpec_EnumDomain{EnumDomain: &pb.EnumDomain{Values: s.Values}}
	}
	return made
}
