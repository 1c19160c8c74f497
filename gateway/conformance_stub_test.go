package gateway

var endCases []transportCase
var goneCases []transportCase
var slowCases []transportCase
var limitCases []transportCase
var beatCases []transportCase
var leakCases []transportCase
