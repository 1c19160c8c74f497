package gateway

var limitCases []transportCase
var beatCases []transportCase
var leakCases []transportCase
