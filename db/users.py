"""Users and their settings, and the one transaction that signs a user up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.accounts import AccountRepository, AccountRow
from db.base import Base, Big, Created, Id, Json, Label, Moment, Name, Word, user_scoped
from db.configs import UserTradingConfigRepository
from db.preferences import PreferencesRow
from db.service_status import ServiceStatusRow
from db.subscriptions import SubscriptionRepository
from trading.config import TradingConfig


@user_scoped
class UserRow(Base):
    """A person who trades."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('admin', 'user')", name="role"),
        Index("uq_users_email", text("lower(email)"), unique=True),
    )

    id: Mapped[Id]
    email: Mapped[Label]
    name: Mapped[Label | None]
    password_hash: Mapped[Label] = mapped_column(server_default="!")
    role: Mapped[Word] = mapped_column(server_default="user")
    is_active: Mapped[bool] = mapped_column(server_default="true")
    mobile_number: Mapped[str | None] = mapped_column(String(15))
    email_verified_at: Mapped[Moment | None]
    verification_token_hash: Mapped[Name | None]
    verification_token_expires_at: Mapped[Moment | None]
    reset_token_hash: Mapped[Name | None]
    reset_token_expires_at: Mapped[Moment | None]
    token_version: Mapped[int] = mapped_column(server_default="1")
    must_change_password: Mapped[bool] = mapped_column(server_default="false")
    mfa_enabled: Mapped[bool] = mapped_column(server_default="false")
    mfa_secret_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    mfa_backup_codes_hash: Mapped[list[Any] | None] = mapped_column(JSONB)
    deleted_at: Mapped[Moment | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@user_scoped
class UserSettingsRow(Base):
    """How a user trades: paper or through a broker, and the sealed credentials for it."""

    __tablename__ = "usersettings"
    __table_args__ = (CheckConstraint("trade_mode IN ('paper', 'broker')", name="trade_mode"),)

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    trade_mode: Mapped[Word] = mapped_column(server_default="paper")
    broker: Mapped[Name | None]
    broker_status: Mapped[Name | None]
    broker_creds_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    ui_preferences: Mapped[Json | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class SignedUp:
    """The ids a sign-up made."""

    user_id: int
    account_id: int


class UserRepository:
    """Queries over users."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def sign_up(self, email: str, name: str, config: TradingConfig, at: datetime) -> SignedUp:
        """Create a user with settings, configuration, a paper account with its cash, and every default subscription.

        at: market now, when the paper account's money arrives. The service starts stopped. Needs the system scope.
        """
        user = UserRow(email=email.strip().lower(), name=name)
        self.session.add(user)
        await self.session.flush()
        self.session.add_all(
            [UserSettingsRow(user_id=user.id), ServiceStatusRow(user_id=user.id), PreferencesRow(user_id=user.id)]
        )
        await UserTradingConfigRepository(self.session).create(user.id, config, at=at)
        account_id = await self.add_paper_account(user.id, "paper", config, at)
        return SignedUp(user.id, account_id)

    async def add_paper_account(self, user_id: int, name: str, config: TradingConfig, at: datetime) -> int:
        """Open one more paper account of a user with the configured capital, subscribed to every default task."""
        accounts = AccountRepository(self.session)
        code = f"{await self._email(user_id)}/{name}"
        account = AccountRow(user_id=user_id, code=code, name=name, mode="paper", venue="paper")
        account_id = await accounts.open(account, config.paper_trading_initial_capital, at)
        await SubscriptionRepository(self.session).subscribe(user_id, account_id)
        return account_id

    async def admins(self) -> list[int]:
        """Return the ids of those who look after the platform. Needs the system scope."""
        query = select(UserRow.id).where(UserRow.role == "admin", UserRow.is_active, UserRow.deleted_at.is_(None))
        return list((await self.session.execute(query.order_by(UserRow.id))).scalars())

    async def _email(self, user_id: int) -> str:
        return (await self.session.execute(select(UserRow.email).where(UserRow.id == user_id))).scalar_one()
