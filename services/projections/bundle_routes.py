"""`/projections/v1/bundles`: evidence to take away is asked for, approved and handed over on record."""

from chassis.web import Api
from services.projections.bundles import ApproveBundle, Bundle, ExportBundle, RequestBundle


def bundles(api: Api) -> None:
    """The files of a bundle are written by `hotline bundle`; here stands who asked, who agreed and what was handed over."""
    api.state("/v1/bundles", "bundle", Bundle)
    api.command("/v1/bundles", RequestBundle)
    api.command("/v1/bundles/{id}/approvals", ApproveBundle)
    api.command("/v1/bundles/{id}/export", ExportBundle)
