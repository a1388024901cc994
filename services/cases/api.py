"""The routes of cases: one line a command."""

from chassis.web import Api
from contracts.clocks import WaiveClock
from services.cases.domain.closing import CloseCase, CloseIntervention, RecordReview
from services.cases.domain.emergency import ApplyEmergencyMeasure, EndEmergencyMeasure
from services.cases.domain.planning import ApprovePlan, RecordDetailedAssessment, SubmitPlan


def routes(api: Api) -> None:
    """`/cases/v1/cases/{id}/…`; a case is opened by a screening only."""
    api.state("/v1/cases", "case")
    api.command("/v1/cases/{id}/emergency-measures", ApplyEmergencyMeasure)
    api.command("/v1/cases/{id}/emergency-endings", EndEmergencyMeasure)
    api.command("/v1/cases/{id}/detailed-assessments", RecordDetailedAssessment)
    api.command("/v1/cases/{id}/plans", SubmitPlan)
    api.command("/v1/cases/{id}/plan-approvals", ApprovePlan)
    api.command("/v1/cases/{id}/reviews", RecordReview)
    api.command("/v1/cases/{id}/intervention-closures", CloseIntervention)
    api.command("/v1/cases/{id}/closure", CloseCase)
    api.command("/v1/cases/{id}/clock-waivers", WaiveClock)
    api.document()
